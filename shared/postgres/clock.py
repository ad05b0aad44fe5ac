"""PostgreSQL's clock, and how far this host's differs from it. Prices begin and end by the host's clock."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import structlog

from shared.errors import DatabaseUnavailable, translated
from shared.postgres.pools import Conn, Pool
from shared.telemetry import heartbeats
from shared.telemetry.metrics import CLOCK_OFFSET

log = structlog.get_logger(__name__)

EVERY_S = 15.0
# Its name among the heartbeats.
LOOP = "clock"


class PostgresClock:
    """PostgreSQL's time without a query: this host's, corrected by the last comparison.

    Attributes:
        ahead_s: How far this host's clock is ahead; 0 until the first comparison.
    """

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> datetime:
        """The time, within a round trip."""
        return datetime.now(UTC) - timedelta(seconds=self.ahead_s)


def now(conn: Conn) -> datetime:
    """PostgreSQL's time."""
    [row] = conn.execute("SELECT clock_timestamp() AS now").fetchall()
    found: datetime = row["now"]
    return found


def offset_s(conn: Conn) -> float:
    """How far this host's clock is ahead of PostgreSQL's, in seconds; it errs by half a round trip at most."""
    before = time.time()
    [row] = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8 AS now").fetchall()
    return (before + time.time()) / 2 - float(row["now"])


@contextmanager
def watched(pool: Pool, every_s: float = EVERY_S) -> Iterator[PostgresClock]:
    """Measure the difference again and again during a block, on a thread."""
    stop, found = threading.Event(), PostgresClock()
    thread = threading.Thread(target=_watch, args=(pool, every_s, stop, found), name="clock", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _watch(pool: Pool, every_s: float, stop: threading.Event, found: PostgresClock) -> None:
    while True:
        try:
            with heartbeats.turn(LOOP), translated(), pool.connection() as conn:
                found.ahead_s = offset_s(conn)
                CLOCK_OFFSET.set(found.ahead_s)
        except DatabaseUnavailable as error:
            log.debug("clock not compared", error=str(error))
        except Exception:
            log.exception("clock not compared")
        if stop.wait(every_s):
            return
