"""Arrays in PostgreSQL's text format; the driver's own conversion takes ten times as long."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal


def numbers(values: Iterable[Decimal | int | None]) -> str:
    """The text of an array of numbers; cast the parameter, for instance `%(version)s::bigint[]`."""
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def texts(values: Iterable[str]) -> str:
    """The text of an array of texts, for a parameter cast to `text[]`."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def instants(values: Iterable[datetime | None]) -> str:
    """The text of an array of aware instants, for a parameter cast to `timestamptz[]`."""
    return "{" + ",".join("NULL" if value is None else f'"{value.isoformat()}"' for value in values) + "}"
