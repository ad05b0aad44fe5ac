"""The breaker in PostgreSQL: it counts products whose automated target is far away, and stops automation.

The row of `breaker` is locked from the count until the end of the writing transaction, so that no two batches pass the
limit together.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.errors import AlreadyEnded
from shared.postgres.pools import AsyncPool, Conn
from shared.prices import repricing_queue
from shared.pricing import breaker as rules
from shared.pricing.policy import Breaker
from shared.wire.fields import AT

# Up to this many rows, PostgreSQL counts the catalogue; above, its own estimate is used.
COUNTED = 100_000
# The products that a reset makes due by itself.
MOST_DUE = 10_000


class BreakerView(msgspec.Struct, frozen=True):
    """The breaker: whether it has stopped automation, and how near it is to that."""

    is_open: Annotated[bool, Meta(description="Whether automation is stopped.", examples=[False])]
    changed_at: Annotated[datetime, Meta(description="Since when.", examples=[AT])]
    reason: Annotated[str, Meta(description="Why it opened, or was reset.", examples=["the feed is corrected"])]
    author: Annotated[str, Meta(description="Who reset it; empty: the engine opened it.", examples=["shop"])]
    moved: Annotated[int, Meta(description="Products that counted within the window.", examples=[3])]
    limit: Annotated[int, Meta(description="It opens above this number.", examples=[50])]
    window_s: Annotated[int, Meta(description="The window in seconds.", examples=[3600])]


def is_open(conn: Conn) -> bool:
    """Whether automation is stopped."""
    return bool(conn.execute("SELECT FROM breaker WHERE is_open").rowcount)


def is_still_open(conn: Conn) -> bool:
    """The same, and it stays open until this transaction ends: a reset then finds the holds of the transaction."""
    return bool(conn.execute("SELECT FROM breaker WHERE is_open FOR SHARE").rowcount)


async def is_stopped(pool: AsyncPool) -> bool:
    """The same, for the readiness of the API."""
    async with pool.connection() as conn:
        return bool((await conn.execute("SELECT FROM breaker WHERE is_open")).rowcount)


def passes(conn: Conn, rule: Breaker, batch: Collection[str], at: datetime) -> bool:
    """Count the products of a batch that move too far; False: the batch must be held, automation is stopped.

    The batch that would pass the limit opens the breaker, and none of its products counts.
    """
    [row] = conn.execute("SELECT is_open FROM breaker FOR UPDATE").fetchall()
    if row["is_open"]:
        return False
    since = at - timedelta(seconds=rule.window_s)
    conn.execute("DELETE FROM breaker_moves WHERE moved_at <= %s", [since])
    ids = sorted(batch)
    [row] = conn.execute(_MOVED, {"ids": ids}).fetchall()
    if rules.opens(rule, catalogue(conn), row["moved"]):
        reason = f"{row['moved']} products would have moved by more than {rule.change} within {rule.window_s} s"
        conn.execute("UPDATE breaker SET is_open = true, changed_at = %s, reason = %s, author = ''", [at, reason])
        return False
    conn.execute(_COUNT, {"ids": ids, "at": at})
    return True


def view(conn: Conn, rule: Breaker) -> BreakerView:
    """The breaker under the policy's rule."""
    [row] = conn.execute(_VIEW, [rule.window_s]).fetchall()
    return BreakerView(**row, limit=rules.limit(rule, catalogue(conn)), window_s=rule.window_s)


def reset(conn: Conn, reason: str, author: str) -> bool:
    """Let automation go on, with a new count. The products that wait because it was open are due now.

    Returns:
        Whether all of them are due; of more than 10,000 only so many are, and the others need a recalculation.

    Raises:
        AlreadyEnded: the breaker is not open.
    """
    if not conn.execute(_RESET, [reason, author]).rowcount:
        raise AlreadyEnded("the breaker is not open")
    conn.execute("DELETE FROM breaker_moves")
    held = [row["product_id"] for row in conn.execute(_HELD, [MOST_DUE + 1])]
    repricing_queue.make_due(conn, held[:MOST_DUE])
    return len(held) <= MOST_DUE


def catalogue(conn: Conn) -> int:
    """The number of products; of more than 100,000, PostgreSQL's estimate."""
    [row] = conn.execute("SELECT reltuples FROM pg_class WHERE oid = 'products'::regclass").fetchall()
    if row["reltuples"] > COUNTED:
        return int(row["reltuples"])
    [row] = conn.execute("SELECT count(*) AS n FROM products").fetchall()
    return int(row["n"])


_MOVED = """
SELECT count(*) AS moved FROM (
    SELECT product_id FROM breaker_moves UNION SELECT unnest(%(ids)s::text[])) AS m
"""

_COUNT = """
INSERT INTO breaker_moves (product_id, moved_at) SELECT unnest(%(ids)s::text[]), %(at)s
ON CONFLICT (product_id) DO UPDATE SET moved_at = excluded.moved_at
"""

_VIEW = """
SELECT is_open, changed_at, reason, author, (SELECT count(*) FROM breaker_moves
    WHERE moved_at > clock_timestamp() - make_interval(secs => %s)) AS moved FROM breaker
"""

_HELD = "SELECT product_id FROM holds WHERE status = 'open' AND code = 'breaker' LIMIT %s"

_RESET = """
UPDATE breaker SET is_open = false, changed_at = clock_timestamp(), reason = %s, author = %s WHERE is_open
"""
