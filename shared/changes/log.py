"""The log as rows. An entry is written in the transaction of its change; it has an id, and is visible, later.

Transactions commit in another order than they draw numbers. So `give_ids` numbers the committed entries, one caller at
a time: an id is visible only when all lower ones are (docs/decisions/0016).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from shared.changes.entries import MOST_PRODUCTS, Entry
from shared.errors import ChangesGone
from shared.postgres.arrays import Documents
from shared.postgres.pools import AsyncPool, Conn

GIVEN_AT_ONCE = 1_000

# A part of other statements: one entry of type `prices`, in `%(logged)s`.
PRICES_LOGGED = "logged AS (INSERT INTO changes (type, data) VALUES ('prices', %(logged)s))"


class Position(NamedTuple):
    """The log's ends.

    Attributes:
        first: The first entry that is kept; None: there is none.
        last: The last id that was given; 0: none was.
    """

    first: int | None
    last: int


class Part(NamedTuple):
    """A part of the log.

    Attributes:
        after: The entries behind this id.
        limit: At most so many.
        most_bytes: No further entry, once those before it have as much data.
        until: Up to and including this id; None: to the end.
    """

    after: int
    limit: int = 100
    most_bytes: int = 1_000_000
    until: int | None = None


def append_prices(conn: Conn, items: bytes) -> None:
    """Add entries of new price sheets, a `PriceItem` in JSON a line, in the transaction that writes them."""
    lines = items.decode().split("\n")[:-1]
    parts = [lines[start : start + MOST_PRODUCTS] for start in range(0, len(lines), MOST_PRODUCTS)]
    if parts:
        conn.execute(_APPEND, ["prices", Documents(f"[{','.join(part)}]" for part in parts)])


def append_edges(conn: Conn, edges: Sequence[dict[str, object]], until: datetime) -> None:
    """Add an entry for each window edge; they, and all up to `until`, are in the log then."""
    documents = [msgspec.json.encode(edge).decode() for edge in edges]
    if documents:
        conn.execute(_APPEND, ["window", documents])
    conn.execute("UPDATE change_log SET edges_until = %s", [until])


def values_in_force_since(conn: Conn, since: datetime, until: datetime) -> list[dict[str, object]]:
    """The edges of market values that were written ahead, and came into force in (since, until]."""
    rows = conn.execute(_VALUES, [since, until])
    return [
        {"part": row["kind"], "id": row["name"], "edge": "from" if row["is_some"] else "until", "edge_at": row["since"]}
        for row in rows
    ]


def next_value(conn: Conn, after: datetime) -> list[datetime]:
    """The next instant at which a market value that was written ahead comes into force; [] where there is none."""
    query = "SELECT since FROM market_values WHERE since > recorded_at AND since > %s ORDER BY since LIMIT 1"
    return [row["since"] for row in conn.execute(query, [after])]


def edges_until(conn: Conn) -> tuple[datetime, datetime]:
    """The instant up to which window edges are in the log, and the time. The row is locked: edges have one writer."""
    [row] = conn.execute("SELECT edges_until, clock_timestamp() AS now FROM change_log FOR UPDATE").fetchall()
    return row["edges_until"], row["now"]


def give_ids(conn: Conn) -> int:
    """Give up to 1,000 committed entries their ids, in the caller's transaction; returns their number.

    In a new epoch, the ids jump to a number that no epoch before has reached: an entry never has the id of one that was
    lost.
    """
    if conn.execute(_IS_WAITING).fetchone() is None:
        return 0
    # A statement of its own: the next one sees what the former holder of the lock has committed.
    held = conn.execute(_LOCK).fetchone()
    if held is None:
        return 0
    base = held["last_id"] if held["is_same"] else max(held["last_id"], held["jump"])
    given = conn.execute(_GIVE, {"base": base, "limit": GIVEN_AT_ONCE}).rowcount
    conn.execute("UPDATE change_log SET last_id = %s, epoch = current_epoch()", [base + given])
    return given


def read(conn: Conn, part: Part) -> list[Entry]:
    """The entries of a part of the log."""
    return [Entry(**row) for row in conn.execute(_READ, part._asdict())]


def position(conn: Conn) -> Position:
    """The log's ends."""
    [row] = conn.execute(_POSITION).fetchall()
    return Position(**row)


def check(conn: Conn, change_id: int) -> None:
    """Check that a subscriber that has read up to `change_id` can go on behind it; 0: from the beginning of all.

    Raises:
        ChangesGone: the next entry is not kept any more, or the id was never given in this history of the data.
    """
    _judge(change_id, conn.execute(_KNOWN, {"id": change_id}).fetchall()[0])


async def check_async(pool: AsyncPool, change_id: int) -> None:
    """As `check`, on the read path's pool."""
    async with pool.connection() as conn:
        cursor = await conn.execute(_KNOWN, {"id": change_id})
        _judge(change_id, (await cursor.fetchall())[0])


async def last_id(pool: AsyncPool) -> int:
    """The last id that was given."""
    async with pool.connection() as conn:
        [row] = await (await conn.execute("SELECT last_id FROM change_log")).fetchall()
    return int(row["last_id"])


async def read_async(pool: AsyncPool, part: Part) -> list[Entry]:
    """As `read`, on the read path's pool."""
    async with pool.connection() as conn:
        cursor = await conn.execute(_READ, part._asdict())
        return [Entry(**row) for row in await cursor.fetchall()]


def _judge(change_id: int, row: dict[str, int | None]) -> None:
    first, last = row["first"], row["last"] or 0
    if change_id == last or row["is_known"] or (first is not None and change_id + 1 == first):
        return
    begin = last if first is None else first - 1
    raise ChangesGone(
        f"the log of changes cannot go on behind {change_id}: it does not go back that far, or never had it; "
        f"read what you need anew, and go on behind {begin}",
        begin,
    )


_APPEND = "INSERT INTO changes (type, data) SELECT %s, unnest(%s::text[])"
_IS_WAITING = "SELECT FROM changes WHERE change_id IS NULL LIMIT 1"

# Milliseconds since 1970: fewer entries a second than 1,000 never reach them.
_LOCK = """
SELECT last_id, epoch = current_epoch() AS is_same,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS jump
FROM change_log FOR UPDATE SKIP LOCKED
"""

_GIVE = """
WITH waiting AS (
    SELECT seq FROM changes WHERE change_id IS NULL ORDER BY seq LIMIT %(limit)s
), numbered AS (SELECT seq, row_number() OVER (ORDER BY seq) AS n FROM waiting)
UPDATE changes c SET change_id = %(base)s + n FROM numbered WHERE c.seq = numbered.seq AND c.change_id IS NULL
"""

# The length of data is known without reading it.
_READ = """
SELECT change_id, type, data, recorded_at AS at FROM (
    SELECT *, sum(octet_length(data)) OVER (ORDER BY change_id) - octet_length(data) AS before FROM (
        SELECT change_id, type, data, recorded_at FROM changes
        WHERE change_id > %(after)s AND (%(until)s::bigint IS NULL OR change_id <= %(until)s)
        ORDER BY change_id LIMIT %(limit)s) AS next
    ) AS measured
WHERE before < %(most_bytes)s ORDER BY change_id
"""

_VALUES = """
SELECT kind, name, value IS NOT NULL AS is_some, since FROM market_values
WHERE since > recorded_at AND since > %s AND since <= %s ORDER BY since, seq
"""

_POSITION = """
SELECT (SELECT min(change_id) FROM changes WHERE change_id IS NOT NULL) AS first, last_id AS last FROM change_log
"""

_KNOWN = """
SELECT (SELECT min(change_id) FROM changes WHERE change_id IS NOT NULL) AS first, last_id AS last,
    EXISTS (SELECT FROM changes WHERE change_id = %(id)s) AS is_known FROM change_log
"""
