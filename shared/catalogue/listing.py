"""Products in lists: by words, category and tag, in the order of their ids.

Common words are found by a walk over the next ids, all others by an index. PostgreSQL does not choose: it knows too
little about rare words, and would walk over the whole table for them.
"""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.postgres.pools import LIST_TIMEOUT_S, Conn, bound_statement
from shared.pricing.currencies import CurrencyCode
from shared.pricing.product import ProductId
from shared.wire.fields import Version

# The walk finds a page of words that one product in twenty has.
WALKED = 1_000
# Between words, as in the function `product_words`.
_BETWEEN = str.maketrans(dict.fromkeys('-_/.,;:()[]"', " "))
# JSON writes these in another way, and so does the text in which words of tags are found.
_ESCAPED = '"\\'
_LAST_CHARACTER = "\U0010ffff"


class ListedProduct(msgspec.Struct, frozen=True):
    """A product in a list."""

    product_id: ProductId
    name: Annotated[str, Meta(description="The product's name.", examples=["Kettle, 1.7 l"])]
    category: Annotated[str, Meta(description="The product's category.", examples=["electronics"])]
    currency: CurrencyCode
    base_price: Annotated[Decimal, Meta(description="The list price of one unit.", examples=["49.90"])]
    published_price: Annotated[
        Decimal, Meta(description="Before market, quantity and membership; not rounded.", examples=["47.50"])
    ]
    version: Version


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which products are listed; None: any.

    Attributes:
        text: Part of the id or the name, in any case.
        words: The beginning of the id, as written, in capitals or in small letters; or beginnings of words of the name,
            category, brand and tags, in any case, all of which must fit.
        category: The whole category.
        tag: A whole tag.
    """

    text: str | None = None
    words: str | None = None
    category: str | None = None
    tag: str | None = None


def page(conn: Conn, search: Search, limit: int, after: str | None) -> list[ListedProduct]:
    """Products in the order of their ids, behind the id `after`.

    Args:
        conn: In a transaction.
        search: Which products.
        limit: The largest number of products.
        after: The last id of the page before; None: the first page.
    """
    # A condition that is not needed is left out: as `IS NULL OR …` it would keep the category's index out of the plan.
    in_category = _IN_CATEGORY if search.category else ""
    others = "".join(part for part, value in ((_WITH_TAG, search.tag), (_WITH_TEXT, search.text)) if value)
    conditions = in_category + others
    values = msgspec.structs.asdict(search) | {"after": after or "", "limit": limit}
    bound_statement(conn, LIST_TIMEOUT_S)
    parts = [f"{_quoted(word)}:*" for word in _cut(search.words or "")]
    if search.tag and not any(character in search.tag for character in _ESCAPED):
        parts += [_quoted(word) for word in _cut(search.tag)]
    if not parts and not search.words:
        return [ListedProduct(**row) for row in conn.execute(_PAGE.format(conditions).encode(), values)]
    found: list[str] = []
    if parts:
        values |= {"query": " & ".join(parts), "walked": WALKED}
        found = _ids(conn, _WALK.format(in_category, others), values)
        if len(found) < limit:
            found = _ids(conn, _INDEXED.format(conditions), values)
    if search.words:
        beginning = search.words.strip()
        for low in {beginning, beginning.upper(), beginning.lower()}:
            found += _ids(conn, _BY_ID.format(conditions), values | {"low": low, "high": low + _LAST_CHARACTER})
    return [ListedProduct(**row) for row in conn.execute(_OF_IDS, {"ids": sorted(set(found))[:limit]})]


def categories(conn: Conn, limit: int = 200) -> list[str]:
    """The first categories that products have, in their order."""
    return [row["category"] for row in conn.execute(_CATEGORIES, {"limit": limit})]


def _ids(conn: Conn, query: str, values: dict[str, object]) -> list[str]:
    return [row["product_id"] for row in conn.execute(query.encode(), values, prepare=False)]


def _cut(text: str) -> list[str]:
    """The words of a text."""
    return text.translate(_BETWEEN).split()


def _quoted(word: str) -> str:
    """A word in PostgreSQL's language of text searches."""
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


_IN_CATEGORY = " AND p.category = %(category)s"
_WITH_TAG = " AND p.tags @> jsonb_build_array(%(tag)s::text)"
_WITH_TEXT = """
    AND (strpos(lower(p.product_id), lower(%(text)s)) > 0 OR strpos(lower(p.name), lower(%(text)s)) > 0)"""

# Both tables begin behind `after`: a merge join would read the prices from the first one on.
_PAGE = """
SELECT p.product_id, p.name, p.category, p.currency, p.base_price, r.published_price, r.version
FROM products p JOIN prices r USING (product_id)
WHERE p.product_id > %(after)s AND r.product_id > %(after)s{} ORDER BY p.product_id LIMIT %(limit)s
"""

_OF_IDS = """
SELECT p.product_id, p.name, p.category, p.currency, p.base_price, r.published_price, r.version
FROM products p JOIN prices r USING (product_id) WHERE p.product_id = ANY(%(ids)s) ORDER BY p.product_id
"""

_WALK = """
SELECT product_id FROM (
    SELECT product_id, name, category, brand, tags FROM products p
    WHERE product_id > %(after)s{} ORDER BY product_id LIMIT %(walked)s
) p
WHERE product_words(name, category, brand, tags) @@ lower(%(query)s)::tsquery{} ORDER BY product_id LIMIT %(limit)s
"""

# The order stands outside, so that the index of the words is read, and not that of the ids.
_INDEXED = """
WITH found AS MATERIALIZED (
    SELECT product_id FROM products p
    WHERE product_words(name, category, brand, tags) @@ lower(%(query)s)::tsquery AND product_id > %(after)s{}
)
SELECT product_id FROM found ORDER BY product_id LIMIT %(limit)s
"""

_BY_ID = """
SELECT product_id FROM products p
WHERE product_id >= %(low)s AND product_id < %(high)s AND product_id > %(after)s{}
ORDER BY product_id LIMIT %(limit)s
"""

# One step of the index for each category, not one for each product.
_CATEGORIES = """
WITH RECURSIVE found AS (
    (SELECT category, 1 AS n FROM products ORDER BY category LIMIT 1)
    UNION ALL
    SELECT (SELECT category FROM products WHERE category > found.category ORDER BY category LIMIT 1), n + 1
    FROM found WHERE found.category IS NOT NULL AND n < %(limit)s
)
SELECT category FROM found WHERE category IS NOT NULL
"""
