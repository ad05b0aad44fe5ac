"""PostgreSQL's primary is killed, and its synchronous standby takes over; later both change places again."""

import tempfile
from pathlib import Path

from deploy.native import state
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import FLOWING, Context
from tests.support import standbys
from tests.support.standbys import Server
from tests.support.waiting import eventually

NORMAL_S = 15.0
AFTERWARDS = 20  # accepted updates


def _failed_over(context: Context) -> Figure:
    servers, port = context.environment.servers, context.environment.added.standby_port
    with tempfile.TemporaryDirectory(prefix="standby-") as folder:
        place = Path(folder).resolve()
        with standbys.standby_of(servers.home, place, port) as standby:
            context.all_read()
            demoted = standbys.kill_primary(servers)
            standby.promote()
            away_s = _normal(context)
            eventually(demoted.is_standby, "the former primary answers again, as a standby")
            with context.more_traffic("after", context.catalogue.hot[FLOWING:]) as traffic:
                eventually(lambda: len(traffic.accepted) >= AFTERWARDS, "updates are accepted beside it")
            _follow_again(context, standby)
            # The promotion began a new epoch.
            context.all_read()
        Server(servers.home, state.load(servers.home)).promote()
        back_s = _normal(context)
    bad = sorted({refusal.status for refusal in context.traffic.refusals} - {503})
    return Figure(
        f"updates were accepted again {away_s:.1f} s after the failover, {back_s:.1f} s after the way back; "
        f"{len(context.traffic.refusals)} were refused meanwhile",
        [
            *at_most("updates were accepted", away_s, NORMAL_S),
            *at_most("updates were accepted after the way back", back_s, NORMAL_S),
            *([f"updates were refused with {bad}, not 503"] if bad else []),
        ],
    )


def _follow_again(context: Context, primary: Server) -> None:
    """Make the former primary a copy of the present one that follows it."""
    former = Server(context.environment.servers.home, primary.known)
    with context.environment.servers.stopped("postgres"):
        primary.copy_to(former)
    primary.wait_for_standby()


def _normal(context: Context) -> float:
    """Seconds until an update is accepted."""
    accepted = len(context.traffic.accepted)
    return context.seconds_until(lambda: len(context.traffic.accepted) > accepted, "an update is accepted again")


CASES = (
    Case(
        "postgres-failover",
        "PostgreSQL's primary killed, its synchronous standby promoted; then both change places again",
        "no failed read, no accepted update lost, updates accepted ≤ 15 s after each promotion",
        _failed_over,
        products=(1_000, 16),
        topology="standby",
    ),
)
