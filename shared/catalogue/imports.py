"""Imports that were made: their counts, and the time at which each wrote."""

from datetime import datetime
from typing import NamedTuple

from shared.errors import NotFound
from shared.postgres.pools import Conn


class Import(NamedTuple):
    """A made import: nothing that it wrote is older than `began_at`, or later than `ended_at`."""

    import_id: str
    began_at: datetime
    ended_at: datetime
    created: int
    changed: int


class Counts(NamedTuple):
    """Products by what an import did with their rows."""

    created: int
    changed: int
    unchanged: int
    rejected: int


def note(conn: Conn, import_id: str, began_at: datetime, counts: Counts) -> None:
    """Record an import in its transaction, also for the metrics: the importing process ends before it is scraped."""
    conn.execute(_NOTE, [import_id, began_at, *counts])


def find(conn: Conn, import_id: str) -> Import:
    """A made import.

    Raises:
        NotFound: there is none of this id.
    """
    row = conn.execute(_FIND, [import_id]).fetchone()
    if row is None:
        raise NotFound(f"no import {import_id}")
    return Import(**row)


_NOTE = """
INSERT INTO imports (import_id, began_at, created, changed, unchanged, rejected) VALUES (%s, %s, %s, %s, %s, %s)
"""
_FIND = "SELECT import_id, began_at, recorded_at AS ended_at, created, changed FROM imports WHERE import_id = %s"
