"""Arrays in PostgreSQL's text format; the driver's own conversion takes ten times as long."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from psycopg import DataError


def numbers(values: Iterable[Decimal | int | None]) -> str:
    """The text of an array of numbers; cast the parameter, for instance `%(version)s::bigint[]`."""
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def texts(values: Iterable[str]) -> str:
    """The text of an array of texts, for a parameter cast to `text[]`.

    Raises:
        DataError: a text has a NUL, which PostgreSQL's texts cannot have.
    """
    given = list(values)
    if not given:
        return "{}"
    # A NUL stands between two texts, so that all are escaped at once.
    joined = "\0".join(given)
    if joined.count("\0") >= len(given):
        raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    quoted = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return f'{{"{quoted}"}}'


def instants(values: Iterable[datetime | None]) -> str:
    """The text of an array of aware instants, for a parameter cast to `timestamptz[]`."""
    return "{" + ",".join("NULL" if value is None else f'"{value.isoformat()}"' for value in values) + "}"
