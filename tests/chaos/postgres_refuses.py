"""PostgreSQL answers and refuses to write, or does not answer at all."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg

from tests.chaos import judgement
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context

LASTS_S, QUICK_LASTS_S = 25.0, 8.0
RIGHT_S = 60.0
# A price that is not cached after all waits for PostgreSQL for 2 s.
SLOWEST_READ_S = 2.5

# The setting counts for new connections.
DISCONNECT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
)


@contextmanager
def _readonly(context: Context) -> Iterator[None]:
    """As after a failover: every transaction is one that may only read."""
    _run(context, "ALTER DATABASE pricing SET default_transaction_read_only = on", DISCONNECT)
    try:
        yield
    finally:
        _run(context, "ALTER DATABASE pricing RESET default_transaction_read_only", DISCONNECT)


@contextmanager
def _blackhole(context: Context) -> Iterator[None]:
    """The packets of all present connections vanish, and new ones are refused."""
    proxy = context.environment.to_postgres
    proxy.is_open = False
    assert proxy.black_hole(), "there are connections"
    try:
        yield
    finally:
        proxy.open()
        proxy.heal()


def _run(context: Context, *statements: str) -> None:
    url = context.environment.engine.settings.database_url
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as conn:
        for statement in statements:
            conn.execute(statement.encode())


def _played(fault: Callable[[Context], AbstractContextManager[None]]) -> Callable[[Context], Figure]:
    def play(context: Context) -> Figure:
        context.all_read()
        context.recalculate()
        with fault(context):
            before = len(context.reader.reads)
            time.sleep(QUICK_LASTS_S if context.quick else LASTS_S)  # the fault itself
            reads = context.reader.reads[before:]
        accepted = len(context.traffic.accepted)
        back = context.seconds_until(lambda: len(context.traffic.accepted) > accepted, "an update is accepted again")
        context.traffic.stop()
        wrong = judgement.settled(context, RIGHT_S)
        bad = [r.status for r in context.traffic.refusals if r.status not in (0, 503)]
        slowest = max((read.ended - read.at for read in reads), default=0.0)
        missed = [f"not right within {RIGHT_S:.0f} s"] if wrong else []
        missed += [f"updates were refused with {sorted(set(bad))}, not 503"] if bad else []
        missed += [] if reads else ["nothing was read"]
        missed += at_most("a cached price came", slowest, SLOWEST_READ_S)
        return Figure(
            f"{len(reads)} cached reads, the slowest {slowest:.2f} s; accepted again {back:.1f} s after", missed
        )

    return play


CASES = (
    Case(
        "postgres-readonly",
        "PostgreSQL refuses to write, 25 s, in a run",
        "cached reads 100 %, updates 503; all right ≤ 60 s after it",
        _played(_readonly),
    ),
    Case(
        "postgres-blackhole",
        "the packets of all connections to PostgreSQL vanish, 25 s, in a run",
        "cached reads 100 %, all right ≤ 60 s after it",
        _played(_blackhole),
    ),
)
