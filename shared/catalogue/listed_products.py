"""The products that have entries in revisions of a price list."""

from collections.abc import Sequence

from shared.postgres.pools import Conn


def public_products(conn: Conn, list_id: str, revision: int, most: int) -> list[str] | None:
    """The products that have entries for everybody in a revision; None: more than `most`."""
    values = {"list_id": list_id, "revision": revision, "limit": most + 1}
    found = [row["product_id"] for row in conn.execute(_PUBLIC, values)]
    return found if len(found) <= most else None


def pairs_of(conn: Conn, list_id: str, revisions: Sequence[int]) -> int:
    """The number of products and customers that have entries in one of these revisions."""
    [row] = conn.execute(_COUNT, {"list_id": list_id, "revisions": list(revisions)}).fetchall()
    return int(row["n"])


def sample(conn: Conn, list_id: str, revisions: Sequence[int], most: int) -> tuple[list[str], int]:
    """Up to so many products with entries for everyone in any of these revisions, at random; and their number."""
    values = {"list_id": list_id, "revisions": list(revisions), "most": most}
    found = conn.execute(_SAMPLE, values).fetchall()
    return [row["product_id"] for row in found], found[0]["n"] if found else 0


_PUBLIC = """
SELECT DISTINCT product_id FROM price_list_entries
WHERE list_id = %(list_id)s AND revision = %(revision)s AND customer_id = '' ORDER BY product_id LIMIT %(limit)s
"""

_COUNT = """
SELECT count(*) AS n FROM (SELECT DISTINCT product_id, customer_id FROM price_list_entries
    WHERE list_id = %(list_id)s AND revision = ANY(%(revisions)s::bigint[])) AS pairs
"""

_SAMPLE = """
SELECT product_id, count(*) OVER () AS n FROM (
    SELECT DISTINCT product_id FROM price_list_entries
    WHERE list_id = %(list_id)s AND revision = ANY(%(revisions)s::bigint[]) AND customer_id = '') AS either
ORDER BY random() LIMIT %(most)s
"""
