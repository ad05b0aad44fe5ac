"""Arrays as one parameter each; the driver's own conversion takes ten times as long."""

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import psycopg
from psycopg import DataError
from psycopg.adapt import Dumper
from psycopg.pq import Format

_TEXT, _TEXTS, _BYTES, _BLOBS = 25, 1009, 17, 1001  # PostgreSQL's types, and their arrays
_length = struct.Struct("!i").pack
_NULL = _length(-1)
_head = struct.Struct("!5i").pack


class Documents:
    """An array of texts in PostgreSQL's binary format, in which nothing is escaped; for long ones."""

    __slots__ = ("data",)

    def __init__(self, values: Iterable[str]) -> None:
        self.data = _binary(_TEXT, [value.encode() for value in values])


class Blobs:
    """An array of byte strings in PostgreSQL's binary format."""

    __slots__ = ("data",)

    def __init__(self, values: Iterable[bytes | None]) -> None:
        self.data = _binary(_BYTES, list(values))


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


def _binary(type_: int, values: Sequence[bytes | None]) -> bytes:
    """One dimension, with NULLs, from 1 on; before each value stands its length."""
    if not values:
        return _head(0, 0, type_, 0, 0)[:12]
    parts = [part for value in values for part in ((_NULL,) if value is None else (_length(len(value)), value))]
    return b"".join((_head(1, 1, type_, len(values), 1), *parts))


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Documents | Blobs) -> bytes:
        return obj.data


class _DocumentsDumper(_Dumper):
    oid = _TEXTS


class _BlobsDumper(_Dumper):
    oid = _BLOBS


psycopg.adapters.register_dumper(Documents, _DocumentsDumper)
psycopg.adapters.register_dumper(Blobs, _BlobsDumper)
