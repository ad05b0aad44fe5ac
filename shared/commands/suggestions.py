"""Suggestions for names that do not exist."""

from collections.abc import Iterable

from shared.commands.terminal import failure
from shared.postgres.pools import Conn
from shared.wording import meant

SHOWN = 10
_ALIKE = 2_000


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The end of a sentence: the name that was probably meant, else the names that there are."""
    names = list(known)
    if words := meant(given, names):
        return words
    if not names:
        return "; there are none"
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"; there are {', '.join(names[:SHOWN])}{more}"


def like_product(conn: Conn, product_id: str) -> str:
    """The end of a sentence about a product that does not exist: one with an id like it, or nothing."""
    rows = conn.execute(_LIKE, {"id": product_id, "begin": product_id[:2], "most": _ALIKE})
    return meant(product_id, (row["product_id"] for row in rows))


def check_category(conn: Conn, category: str) -> None:
    """Raise ClickException where no product is in the category; it names the one that was probably meant."""
    if not conn.execute("SELECT FROM products WHERE category = %s LIMIT 1", [category]).rowcount:
        known = [row["category"] for row in conn.execute("SELECT DISTINCT category FROM products ORDER BY category")]
        raise failure(f"no product is in the category {category!r}{did_you_mean(category, known)}")


_LIKE = """
(SELECT product_id FROM products WHERE product_id >= %(begin)s ORDER BY product_id LIMIT %(most)s)
UNION (SELECT product_id FROM products WHERE product_id >= upper(%(id)s) ORDER BY product_id LIMIT 10)
UNION (SELECT product_id FROM products WHERE product_id >= lower(%(id)s) ORDER BY product_id LIMIT 10)
UNION (SELECT product_id FROM products WHERE product_id >= substr(%(id)s, 2) ORDER BY product_id LIMIT 10)
UNION (SELECT product_id FROM products WHERE product_id <= %(id)s ORDER BY product_id DESC LIMIT %(most)s)
"""
