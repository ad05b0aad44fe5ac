"""A rolling upgrade: processes of an earlier release and of this one work side by side, until the earlier ones go."""

import time
from contextlib import ExitStack
from random import Random

from deploy.native.programs import APPS
from tests.chaos import judge
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import FLOWING, Context
from tests.chaos.reader import Reader
from tests.chaos.traffic import Traffic
from tests.support import earlier_release
from tests.support.waiting import eventually

UPDATES, LATE_S = 30, 10.0
_LATEST = "SELECT coalesce(max(extract(epoch FROM applied_at - recorded_at)), 0) AS s FROM market_events"


def _upgraded(context: Context) -> Figure:
    old, engine = context.environment.added.earlier, context.environment.engine
    assert old
    ids = context.catalogue.hot[FLOWING:]
    with ExitStack() as undo:
        to_old = Traffic(str(old.http.base_url), engine.key, ids, Random(context.rng.random()), f"{context.run}-old")
        context.traffics.append(undo.enter_context(to_old))
        reader = undo.enter_context(Reader(old.settings.port, [*ids, *context.catalogue.plain[:8]], context.rng))
        for _ in context.times(2, quick=1):
            for api in (old, engine):
                context.ended(api.recalculate())
            for updates in (to_old, context.traffic):
                _flow(updates)
        # A load balancer sends no query to a process that is about to end.
        to_old.stop()
        reader.__exit__()
    gone_s = 0.0
    for program in APPS:
        began = time.monotonic()
        earlier_release.stop(old, program)
        gone_s = max(gone_s, time.monotonic() - began)
        _flow(context.traffic)
    context.ended(context.recalculate())
    latest = float(engine.sql(_LATEST)[0]["s"])
    refused = len(context.traffic.refusals) + len(to_old.refusals)
    return Figure(
        f"{len(reader.reads):,} reads and {len(to_old.accepted)} updates by the earlier API; the slowest event took "
        f"{latest:.2f} s, the slowest end of a program {gone_s:.1f} s",
        [
            *judge.failed_reads(reader.reads, []),
            *judge.versions_backwards(reader.reads),
            *at_most("an event was applied", latest, LATE_S),
            *([f"{refused} updates were refused"] if refused else []),
        ],
    )


def _flow(updates: Traffic) -> None:
    wanted = len(updates.accepted) + UPDATES
    eventually(lambda: len(updates.accepted) >= wanted, "updates are accepted")


CASES = (
    Case(
        "rolling-upgrade",
        "an earlier release's processes beside these, then stopped one by one",
        f"no failed read, no refused update, each event applied ≤ {LATE_S:g} s",
        _upgraded,
        products=(1_000, FLOWING + 8),
        topology="earlier",
    ),
)
