"""The audit log: who wrote what, and how it ended; its rows are in PostgreSQL."""

import getpass
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta

from shared.postgres.pools import AsyncPool, Conn
from shared.printable import printable
from shared.wire.fields import AT, TRACE_ID

LONGEST_REQUEST = 500
DONE, NO_ANSWER = "done", "no answer"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One write.

    Attributes:
        key_id: None: a command.
        request: Method and path, or the command.
        outcome: The HTTP status; `done`: a command; `no answer`: the caller went away first.
        request_id: An entry that is sent twice is stored once.
    """

    key_id: int | None
    key_name: str
    request: str
    outcome: str
    trace_id: str = ""
    recorded_at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    request_id: UUID = msgspec.field(default_factory=uuid4)


class EntryView(msgspec.Struct, frozen=True):
    """One write in the audit log."""

    id: Annotated[int, Meta(description="The entry's id; later entries have higher ones", examples=[4711])]
    recorded_at: Annotated[datetime, Meta(description="The time of its end", examples=[AT])]
    key_id: Annotated[int | None, Meta(description="The key's id; null: a command on the server", examples=[7])]
    key_name: Annotated[str, Meta(description="The key's name; just (USER): a command", examples=["crawler"])]
    request: Annotated[str, Meta(description="Method and path, or the command", examples=["POST /api/v1/recalculate"])]
    outcome: Annotated[
        str, Meta(description="The HTTP status; done: a command; no answer: the caller went away", examples=["200"])
    ]
    trace_id: Annotated[str, Meta(description="The trace's id; empty: a command", examples=[TRACE_ID])]


class Filter(msgspec.Struct, frozen=True):
    """Which entries to list; None: all."""

    key_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


def record(conn: Conn, entry: Entry) -> None:
    """Store an entry in the transaction of the write itself."""
    conn.execute(_RECORD, _values([entry]))


async def record_all(database: AsyncPool, entries: Sequence[Entry]) -> None:
    """Store entries in one statement; those that are stored already stay as they are."""
    async with database.connection() as conn:
        await conn.execute(_RECORD, _values(entries))


def by_command(request: str) -> Entry:
    """The entry of a command, by the user of the operating system."""
    return Entry(key_id=None, key_name=commander(), request=shortened(request), outcome=DONE)


def commander() -> str:
    """The author of what a command writes: `just (USER)`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = str(os.getuid())
    return f"just ({user})"


def shortened(request: str) -> str:
    """A request's text, printable and of bounded length."""
    return printable(request)[:LONGEST_REQUEST]


def listed(conn: Conn, chosen: Filter, limit: int, before: int | None = None) -> list[EntryView]:
    """The newest entries, of those with a lower id than `before`."""
    values = msgspec.structs.asdict(chosen) | {"limit": limit, "before": before}
    return [EntryView(**row) for row in conn.execute(_LIST, values)]


def _values(entries: Sequence[Entry]) -> dict[str, list[object]]:
    return {name: [getattr(entry, name) for entry in entries] for name in Entry.__struct_fields__}


_RECORD = """
INSERT INTO audit_log (key_id, key_name, request, outcome, trace_id, recorded_at, request_id)
SELECT * FROM unnest(%(key_id)s::bigint[], %(key_name)s::text[], %(request)s::text[], %(outcome)s::text[],
    %(trace_id)s::text[], %(recorded_at)s::timestamptz[], %(request_id)s::uuid[])
ON CONFLICT DO NOTHING
"""

_LIST = """
SELECT id, recorded_at, key_id, key_name, request, outcome, trace_id FROM audit_log
WHERE (%(before)s::bigint IS NULL OR id < %(before)s) AND (%(key_id)s::bigint IS NULL OR key_id = %(key_id)s)
    AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
ORDER BY id DESC LIMIT %(limit)s
"""
