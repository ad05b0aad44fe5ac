"""The items of a plan as CSV, for people: texts that a spreadsheet program would run as a formula get an apostrophe."""

import csv
import io
from collections.abc import Sequence
from typing import Any, BinaryIO
from uuid import UUID

from shared.importing.spreadsheets import protected
from shared.plans import views
from shared.plans.views import ItemFilter, ItemView
from shared.postgres.pools import Conn

# Items that are read at once.
PAGE = 5_000

COLUMNS = ItemView.__struct_fields__
_TEXTS = frozenset({"product_id", "market", "category"})


def header() -> str:
    """The first line."""
    return ",".join(COLUMNS) + "\r\n"


def lines(items: Sequence[ItemView]) -> str:
    """The lines of items; what an item lacks is empty."""
    text = io.StringIO()
    csv.writer(text).writerows([_cell(name, getattr(item, name)) for name in COLUMNS] for item in items)
    return text.getvalue()


def write(conn: Conn, plan_id: UUID, file: BinaryIO) -> int:
    """Write all items of a plan, by product; returns their number.

    Raises:
        NotFound: there is no such plan.
        OSError: the file cannot be written.
    """
    count, last = 0, None
    file.write(header().encode())
    while found := views.items(conn, plan_id, ItemFilter(), "product_id", PAGE, last):
        file.write(lines(found).encode())
        count, last = count + len(found), views.position_of(found[-1])
    return count


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    return protected(value) if name in _TEXTS else str(value)
