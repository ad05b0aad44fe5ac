"""Differences: what an import changes in products that exist, and in their prices."""

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from shared.importing.checking import PRODUCT
from shared.postgres.pools import Conn

FIRST = 10
MOVERS = 5
_COLUMNS = [name for name in PRODUCT if name != "product_id"]
# For these, empty is another word for the value of a product without the column.
_DEFAULTS = {"category": "general", "tax_class": "standard"}


class ColumnChange(NamedTuple):
    """The number of products in which a column changed; `removed`: to empty, `added`: from empty."""

    column: str
    changed: int
    removed: int
    added: int


class Difference(NamedTuple):
    """A column of one product, before and after; empty: none."""

    product_id: str
    column: str
    before: str
    after: str


class Move(NamedTuple):
    """The published price of one product, before and after."""

    product_id: str
    currency: str
    before: Decimal
    after: Decimal


class PriceEffect(NamedTuple):
    """The number of published prices that rise and fall, and the largest moves."""

    rise: int
    fall: int
    largest: list[Move]


class Differences(msgspec.Struct, frozen=True):
    """What an import changes in products that existed before.

    Attributes:
        columns: The columns that change, in the order of the products' fields.
        kept_tiers: Products whose list price changes, and whose tiers stay as they were written.
        first: The columns of the first products that change, up to 10 products in the order of the file.
    """

    columns: list[ColumnChange]
    kept_tiers: int
    first: list[Difference]
    prices: PriceEffect


def found(conn: Conn, cause_id: str) -> Differences:
    """What the import of this id changed so far, in its transaction; products are compared with `import_before`."""
    [row] = conn.execute(_COUNTS).fetchall()
    counts = [
        ColumnChange(name, *(row[f"{name}_{kind}"] for kind in ("changed", "removed", "added"))) for name in _COLUMNS
    ]
    [moved] = conn.execute(_MOVED, [cause_id]).fetchall()
    largest = [Move(**each) for each in conn.execute(_LARGEST, [cause_id])]
    return Differences(
        [each for each in counts if any(each[1:])],
        row["kept_tiers"],
        _first(conn),
        PriceEffect(moved["rise"], moved["fall"], largest),
    )


def _first(conn: Conn) -> list[Difference]:
    differences = []
    for row in conn.execute(_FIRST):
        for name in _COLUMNS:
            before, after = _text(row[f"old_{name}"]), _text(row[f"new_{name}"])
            if before != after:
                differences.append(Difference(row["product_id"], name, before, after))
    return differences


def _text(value: Any) -> str:
    if value is None or value == []:
        return ""
    return str(value) if not isinstance(value, list | dict) else msgspec.json.encode(value).decode()


def _is_empty(table: str, name: str) -> str:
    if name in ("tiers", "tags"):
        return f"{table}.{name} = '[]'"
    return f"{table}.{name} IS NULL"


def _counted(name: str) -> str:
    before, after = _is_empty("b", name), _is_empty("p", name)
    return f"""
        count(*) FILTER (WHERE b.{name} IS DISTINCT FROM p.{name} AND NOT {before} AND NOT {after}) AS {name}_changed,
        count(*) FILTER (WHERE NOT {before} AND {after}) AS {name}_removed,
        count(*) FILTER (WHERE {before} AND NOT {after}) AS {name}_added"""


_COUNTS = f"""
SELECT {", ".join(map(_counted, _COLUMNS))},
    count(*) FILTER (WHERE p.base_price <> b.base_price AND p.tiers = b.tiers AND p.tiers <> '[]') AS kept_tiers
FROM import_before b JOIN products p USING (product_id)
""".encode()  # noqa: S608 # only names of columns

_FIRST = f"""
SELECT r.product_id, {", ".join(f"b.{name} AS old_{name}, p.{name} AS new_{name}" for name in _COLUMNS)}
FROM import_rows r JOIN import_before b USING (product_id) JOIN products p USING (product_id)
WHERE r.reason IS NULL ORDER BY r.line LIMIT {FIRST}
""".encode()  # noqa: S608 # only names of columns

# The transaction began before its decisions: the history is read by product and time.
_MOVES = """FROM import_before b JOIN price_history h USING (product_id)
WHERE h.recorded_at >= now() AND h.cause = 'import' AND h.cause_id = %s AND h.old_price <> h.new_price"""

_MOVED = f"""
SELECT count(*) FILTER (WHERE new_price > old_price) AS rise, count(*) FILTER (WHERE new_price < old_price) AS fall
{_MOVES}
"""  # only our own parts

_LARGEST = f"""
SELECT product_id, h.currency, old_price AS before, new_price AS after {_MOVES}
ORDER BY abs(new_price - old_price) / nullif(old_price, 0) DESC NULLS FIRST, product_id LIMIT {MOVERS}
"""  # only our own parts
