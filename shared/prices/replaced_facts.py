"""What plans and imports replaced about products: facts, manual prices and entries of lists; an undo finds them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.pricing.entries import EntryWrite
from shared.pricing.product import ProductInput
from shared.pricing.state import ManualPrice

Facts = Mapping[str, Any]


class Replaced(NamedTuple):
    """What a cause wrote about a product, and what was there before.

    Attributes:
        kind: `product`: facts; `manual_price`; `entries`: those of a customer (empty: everyone) in a list.
        old: JSON; of facts, those that differ. None: there was none.
        new: The same after the write.
        replaced_at: The time of the write, as it is read.
    """

    product_id: str
    kind: Literal["product", "manual_price", "entries"]
    old: str | None
    new: str | None
    list_id: str = ""
    customer_id: str = ""
    replaced_at: datetime = datetime.min.replace(tzinfo=UTC)


def of_product(before: ProductInput, after: ProductInput) -> Replaced | None:
    """The facts that a write changes; None: it changes none."""
    names = [name for name in ProductInput.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    if not names:
        return None
    old, new = (_json({name: getattr(one, name) for name in names}) for one in (before, after))
    return Replaced(after.product_id, "product", old, new)


def of_deletion(product: ProductInput) -> Replaced:
    """All facts of a product that is deleted."""
    names = ProductInput.__struct_fields__
    return Replaced(product.product_id, "product", _json({name: getattr(product, name) for name in names}), None)


def of_manual_price(product_id: str, before: ManualPrice | None, after: ManualPrice | None) -> Replaced | None:
    """A manual price that a write changes; None: it stays."""
    if before == after:
        return None
    old, new = (None if one is None else _json(one) for one in (before, after))
    return Replaced(product_id, "manual_price", old, new)


def facts(document: str | None) -> Facts:
    """The facts in the JSON of a `product`."""
    read = {} if document is None else msgspec.structs.asdict(_facts.decode(document))
    return {name: value for name, value in read.items() if value is not UNSET}


def manual_price(document: str | None) -> ManualPrice | None:
    """The manual price in the JSON of one."""
    return None if document is None else _manual.decode(document)


def entries(document: str | None) -> list[EntryWrite]:
    """The entries in the JSON of `entries`."""
    return [] if document is None else _entries.decode(document)


def encoded_entries(found: Sequence[EntryWrite]) -> str | None:
    """The JSON of entries; None: there are none."""
    return _json(found) if found else None


def note(conn: Conn, cause_id: str, replaced: Sequence[Replaced]) -> None:
    """Store what a cause replaced, in its transaction."""
    if replaced:
        columns = {name: [getattr(one, name) for one in replaced] for name in Replaced._fields[:-1]}
        conn.execute(_NOTE, columns | {"cause_id": cause_id})


def forget(conn: Conn, customer_id: str) -> None:
    """Delete what was replaced about a customer's entries: no undo brings them back."""
    conn.execute("DELETE FROM replaced_facts WHERE customer_id = %s AND customer_id <> ''", [customer_id])


def of_cause(conn: Conn, cause_id: str, product_ids: Sequence[str], since: datetime) -> dict[str, list[Replaced]]:
    """What a cause replaced about these products, by product, in its order; it wrote nothing before `since`."""
    values = {"cause_id": cause_id, "ids": arrays.texts(product_ids), "since": since}
    found: dict[str, list[Replaced]] = defaultdict(list)
    for row in conn.execute(_OF_CAUSE, values):
        found[row["product_id"]].append(Replaced(**row))
    return found


def deleted_by(conn: Conn, cause_id: str, since: datetime, first: str, before: str | None) -> list[ProductInput]:
    """The products from `first` on, before `before`, that a cause deleted, as they were."""
    values = {"cause_id": cause_id, "since": since, "first": first, "before": before}
    rows = conn.execute(_DELETED_BY, values)
    return [ProductInput(**facts(row["old"])) for row in rows]


def products_of_cause(conn: Conn, cause_id: str, since: datetime, most: int) -> list[str]:
    """The ids of up to so many products of which a cause replaced something."""
    values = {"cause_id": cause_id, "since": since, "most": most}
    return [row["product_id"] for row in conn.execute(_PRODUCTS, values)]


def lists_of_cause(conn: Conn, cause_id: str, since: datetime) -> list[str]:
    """The price lists whose entries a cause replaced, in order."""
    return [row["list_id"] for row in conn.execute(_LISTS, {"cause_id": cause_id, "since": since})]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


# Every field of a product, or none of them; what was checked when it was written is not checked again.
_facts = msgspec.json.Decoder(
    msgspec.defstruct(
        "_Facts", [(field.name, field.type | UnsetType, UNSET) for field in msgspec.structs.fields(ProductInput)]
    )
)
_manual = msgspec.json.Decoder(ManualPrice)
_entries = msgspec.json.Decoder(list[EntryWrite])

_NOTE = """
INSERT INTO replaced_facts (cause_id, product_id, kind, old, new, list_id, customer_id)
SELECT %(cause_id)s, * FROM unnest(%(product_id)s::text[], %(kind)s::text[], %(old)s::text[], %(new)s::text[],
    %(list_id)s::text[], %(customer_id)s::text[])
"""

_OF_CAUSE = """
SELECT product_id, kind, old, new, list_id, customer_id, replaced_at FROM replaced_facts
WHERE cause_id = %(cause_id)s AND product_id = ANY(%(ids)s::text[]) AND replaced_at >= %(since)s
ORDER BY replaced_at
"""

_DELETED_BY = """
SELECT old FROM replaced_facts
WHERE cause_id = %(cause_id)s AND kind = 'product' AND new IS NULL AND replaced_at >= %(since)s
    AND product_id >= %(first)s AND (%(before)s::text IS NULL OR product_id < %(before)s)
"""

_PRODUCTS = """
SELECT DISTINCT product_id FROM replaced_facts
WHERE cause_id = %(cause_id)s AND replaced_at >= %(since)s LIMIT %(most)s
"""

_LISTS = """
SELECT DISTINCT list_id FROM replaced_facts
WHERE cause_id = %(cause_id)s AND kind = 'entries' AND replaced_at >= %(since)s ORDER BY list_id
"""
