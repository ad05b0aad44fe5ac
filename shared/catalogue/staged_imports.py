"""Staged imports: the checked rows of a file that change something, which a plan names and its application writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.catalogue import products
from shared.catalogue.product_set import ProductFilter
from shared.errors import NotFound
from shared.postgres.pools import Conn
from shared.pricing.product import ProductInput
from shared.wire.fields import CreatedAt

IMPORT_ID = "5c0f7a0e-6f5f-4d0e-9a57-2f6f3f0f2a11"


class StagedImport(msgspec.Struct, frozen=True):
    """A file whose rows are checked and wait for a plan. Each product is counted once."""

    import_id: Annotated[UUID, Meta(description="The import's id.", examples=[IMPORT_ID])]
    created_at: CreatedAt
    author: Annotated[str, Meta(description="Who sent it.", examples=["shop"])]
    key_id: Annotated[int | None, Meta(description="The key that sent it; null: a command.", examples=[7])]
    created: Annotated[int, Meta(description="New products.", examples=[2])]
    changed: Annotated[int, Meta(description="Products that change.", examples=[40])]
    unchanged: Annotated[int, Meta(description="Products whose row equals them.", examples=[100])]
    rejected: Annotated[int, Meta(description="Bad rows that are left out.", examples=[0])]


def add(
    conn: Conn, import_id: UUID, author: str, unchanged: int, rejected: int, key_id: int | None = None
) -> StagedImport:
    """Note an import whose products are stored; the author's key is None for a command."""
    values = {"import_id": import_id, "author": author, "unchanged": unchanged, "rejected": rejected}
    values["key_id"] = key_id
    row = conn.execute(_ADD, values).fetchone()
    assert row  # noqa: S101 # INSERT … RETURNING returns a row
    return StagedImport(**row)


def find(conn: Conn, import_id: UUID) -> StagedImport:
    """A staged import.

    Raises:
        NotFound: there is none of this id, or it was deleted with the plans of its time.
    """
    row = conn.execute(_FIND, [import_id]).fetchone()
    if row is None:
        raise NotFound(f"no staged import {import_id}")
    return StagedImport(**row)


def ids(conn: Conn, import_id: UUID, most: int) -> list[str]:
    """The ids of up to so many of its products."""
    rows = conn.execute("SELECT product_id FROM staged_products WHERE import_id = %s LIMIT %s", [import_id, most])
    return [row["product_id"] for row in rows]


def of(conn: Conn, import_ids: Sequence[UUID], chosen: ProductFilter) -> dict[str, ProductInput]:
    """The staged products within the range of a filter, by id; of two of one product that of the later import."""
    values = {"ids": list(import_ids), "first": chosen.values.get("first", ""), "before": chosen.values.get("before")}
    rows = conn.execute(_OF, values | {"named": chosen.values.get("ids") if "first" not in chosen.values else None})
    by_import: dict[UUID, dict[str, ProductInput]] = {import_id: {} for import_id in import_ids}
    for row in rows:
        by_import[row["import_id"]][row["product_id"]] = _product.decode(row["facts"])
    return {product_id: one for import_id in import_ids for product_id, one in by_import[import_id].items()}


def sample(conn: Conn, import_id: UUID, most: int) -> list[ProductInput]:
    """Up to so many of its products that exist, at random, as it writes them."""
    return [_product.decode(row["facts"]) for row in conn.execute(_SAMPLE, [import_id, most])]


def written_since(conn: Conn, import_ids: Sequence[UUID], at: datetime, most: int = 5) -> list[str]:
    """Up to so many products of the imports whose facts changed after an instant."""
    rows = conn.execute(_WRITTEN, {"ids": list(import_ids), "at": at, "most": most})
    return [row["product_id"] for row in rows]


def purge(conn: Conn, limit: int, keeps_days: int) -> int:
    """Delete up to this many products of old imports, and the imports without any; returns the larger number."""
    return max(conn.execute(query, {"limit": limit, "days": keeps_days}).rowcount for query in PURGE)


_product = msgspec.json.Decoder(ProductInput)

_COLUMNS = ", ".join(StagedImport.__struct_fields__)
_ADD = f"""
INSERT INTO staged_imports (import_id, author, key_id, created, changed, unchanged, rejected)
SELECT %(import_id)s, %(author)s, %(key_id)s, count(*) - count(p.product_id), count(p.product_id), %(unchanged)s,
    %(rejected)s
FROM staged_products s LEFT JOIN products p USING (product_id) WHERE s.import_id = %(import_id)s
RETURNING {_COLUMNS}
"""  # noqa: S608 # only names of columns
_FIND = f"SELECT {_COLUMNS} FROM staged_imports WHERE import_id = %s"  # noqa: S608 # as above

_OF = """
SELECT import_id, product_id, facts FROM staged_products
WHERE import_id = ANY(%(ids)s) AND product_id >= %(first)s
    AND (%(before)s::text IS NULL OR product_id < %(before)s)
    AND (%(named)s::text[] IS NULL OR product_id = ANY(%(named)s))
"""

_SAMPLE = """
SELECT s.facts FROM staged_products s JOIN products USING (product_id) WHERE s.import_id = %s ORDER BY random() LIMIT %s
"""

_WRITTEN = """
SELECT DISTINCT p.product_id FROM staged_products s JOIN products p USING (product_id)
WHERE s.import_id = ANY(%(ids)s) AND p.updated_at > %(at)s ORDER BY p.product_id LIMIT %(most)s
"""

_OLD = "SELECT import_id FROM staged_imports WHERE created_at < now() - make_interval(days => %(days)s)"
PURGE = (
    f"""
    DELETE FROM staged_products WHERE (import_id, product_id) IN (
        SELECT import_id, product_id FROM staged_products WHERE import_id IN ({_OLD}) LIMIT %(limit)s)
    """,  # noqa: S608 # our own part
    f"""
    DELETE FROM staged_imports i WHERE import_id IN ({_OLD})
        AND NOT EXISTS (SELECT FROM staged_products s WHERE s.import_id = i.import_id)
    """,  # noqa: S608 # as above
)

# The columns of a row `r` of products as JSON.
FACTS = "jsonb_build_object({})::text".format(", ".join(f"'{name}', r.{name}" for name in products.COLUMNS))
