"""Products in lists: by words, category and tag, in the order of a column that has an index.

Common words are found by a walk over the next products, all others by an index. PostgreSQL does not choose: it knows
too little about rare words, and would walk over the whole table for them.
"""

from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from shared.errors import InvalidInput
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
_OF_PRICES = ("published_price", "version")


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


class DetailedProduct(ListedProduct, frozen=True):
    """A product in a list with what else the catalogue says about it; `cost` and `stock` are not those of signals."""

    brand: str | None
    tags: list[str]
    strategy: str | None
    cost: Decimal | None
    stock: int | None


P = TypeVar("P", bound=ListedProduct)
Column = Literal["product_id", "name", "category"]
Position = tuple[str, ...]
"""The values of an order's columns in the last product of a page."""


class Order(NamedTuple):
    """The order of a list: by a column, then by id, both of them up or both down."""

    column: Column = "product_id"
    descending: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, all of which stand in one index."""
        return (self.column,) if self.column == "product_id" else (self.column, "product_id")

    @property
    def sql(self) -> str:
        """The order in SQL, of the table `p`."""
        return ", ".join(f"p.{column}{' DESC' if self.descending else ''}" for column in self.columns)

    def position(self, product: ListedProduct) -> Position:
        """Where the page behind a product begins."""
        return tuple(getattr(product, column) for column in self.columns)


BY_ID = Order()


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


def page(
    conn: Conn, search: Search, kind: type[P], limit: int, after: Position | None, order: Order = BY_ID
) -> list[P]:
    """One page of a list.

    Args:
        conn: In a transaction.
        search: Which products.
        kind: Has the columns.
        limit: The largest number of products.
        after: The position of the last product of the page before; None: the first page.
        order: The order of the list.

    Raises:
        InvalidInput: the position is of another order.
    """
    if after is not None and len(after) != len(order.columns):
        raise InvalidInput("is of a list in another order", "$.cursor")
    bound_statement(conn, LIST_TIMEOUT_S)
    ids = _found(conn, search, limit, after, order)
    columns = (f"r.{name}" if name in _OF_PRICES else f"p.{name}" for name in kind.__struct_fields__)
    query = _OF_IDS.format(", ".join(columns), order.sql)
    rows = conn.execute(query.encode(), {"ids": ids, "limit": limit})
    return [kind(**row) for row in rows]


def categories(conn: Conn, limit: int = 200) -> list[str]:
    """The first categories that products have, in their order."""
    return [row["category"] for row in conn.execute(_CATEGORIES, {"limit": limit})]


def _found(conn: Conn, search: Search, limit: int, after: Position | None, order: Order) -> list[str]:
    """The ids of a page; where ids begin with the words, some more."""
    values: dict[str, object] = msgspec.structs.asdict(search) | {"limit": limit, "walked": WALKED}
    values |= {f"after_{number}": value for number, value in enumerate(after or ())}
    parts = [f"{_quoted(word)}:*" for word in _cut(search.words or "")]
    if search.tag and not any(character in search.tag for character in _ESCAPED):
        parts += [_quoted(word) for word in _cut(search.tag)]
    behind, ordered = _behind(order) if after else "", order.sql
    # A condition that is not needed is left out: as `IS NULL OR …` it would keep the category's index out of the plan.
    chosen = ((_IN_CATEGORY, search.category), (_WITH_TAG, search.tag), (_WITH_TEXT, search.text))
    conditions = "".join(part for part, value in chosen if value)
    has_index = not search.category or order.column != "name"
    if not parts and not search.words and has_index:
        return _ids(conn, _IN_ORDER.format(behind + conditions, ordered), values)
    found: list[str] = []
    if parts or not search.words:
        values["query"] = " & ".join(parts)
        wanted = conditions + (_WITH_WORDS if parts else "")
        near = behind + (_IN_CATEGORY if search.category and has_index else "")
        found = _ids(conn, _WALK.format(near, ordered, wanted), values)
        if len(found) < limit:
            found = _ids(conn, _INDEXED.format(behind + wanted, ordered), values)
    if search.words:
        beginning = search.words.strip()
        for low in {beginning, beginning.upper(), beginning.lower()}:
            bounds = {"low": low, "high": low + _LAST_CHARACTER}
            found += _ids(conn, _IN_ORDER.format(behind + conditions + _BY_ID, ordered), values | bounds)
    return found


def _ids(conn: Conn, query: str, values: dict[str, object]) -> list[str]:
    return [row["product_id"] for row in conn.execute(query.encode(), values, prepare=False)]


def _behind(order: Order) -> str:
    columns = ", ".join(f"p.{column}" for column in order.columns)
    values = ", ".join(f"%(after_{number})s" for number in range(len(order.columns)))
    return f" AND ({columns}) {'<' if order.descending else '>'} ({values})"


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
_WITH_WORDS = " AND product_words(p.name, p.category, p.brand, p.tags) @@ lower(%(query)s)::tsquery"
_BY_ID = " AND p.product_id >= %(low)s AND p.product_id < %(high)s"

_IN_ORDER = "SELECT p.product_id FROM products p WHERE true{} ORDER BY {} LIMIT %(limit)s"

_OF_IDS = """
SELECT {} FROM products p JOIN prices r USING (product_id)
WHERE p.product_id = ANY(%(ids)s) ORDER BY {} LIMIT %(limit)s
"""

_WALK = """
SELECT p.product_id FROM (
    SELECT p.product_id, p.name, p.category, p.brand, p.tags FROM products p WHERE true{0} ORDER BY {1} LIMIT %(walked)s
) p WHERE true{2} ORDER BY {1} LIMIT %(limit)s
"""

# The order stands outside, so that the index of the words is read, and not that of the order.
_INDEXED = """
WITH found AS MATERIALIZED (SELECT p.product_id, p.name, p.category FROM products p WHERE true{})
SELECT p.product_id FROM found p ORDER BY {} LIMIT %(limit)s
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
