"""Servers that stand twice: a primary is killed or demoted, a slot moves, the pooler starts anew."""

import time
from collections.abc import Callable
from decimal import Decimal

import httpx

from shared.cache import tags
from tests.chaos import judgement
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import FLOWING, Context
from tests.chaos.topologies import Topology
from tests.support.waiting import eventually

# Work whose message was lost with the broker is enqueued again after 20 s.
NORMAL_S = 30.0
AFTERWARDS = 20  # accepted updates
AWAY_S = 2.0
# Products with a single update, after the fault; and others with a single update that the promoted replica lacks, whose
# prices are not read until the end, so that no reader's near cache notices it.
ONCE, LOST = 4, 4


def _primary_killed(context: Context) -> Figure:
    sentinel = context.environment.added.sentinel
    assert sentinel
    lost = context.catalogue.hot[-LOST:]

    def lag() -> None:
        sentinel.cut_replica_off()
        _update(context, "lost", lost)

    killed = 0

    def kill() -> None:
        nonlocal killed
        killed = sentinel.kill_primary()

    figure = _played(context, kill, before=lag)
    whole_s = context.seconds_until(lambda: not judgement.stale_sheets(context), "no stale price is cached")
    sentinel.bring_back(killed)
    return Figure(
        f"{figure.text}; no stale price cached {whole_s:.1f} s later",
        [*figure.missed, *at_most("no stale price was cached", whole_s, NORMAL_S)],
    )


def _primary_demoted(context: Context) -> Figure:
    sentinel = context.environment.added.sentinel
    assert sentinel
    eventually(sentinel.is_whole, "a replica is there")
    demoted = 0

    def demote() -> None:
        nonlocal demoted
        demoted = sentinel.fail_over()
        eventually(lambda: sentinel.primary() != demoted, "another primary")

    figure = _played(context, demote)
    left_s = context.seconds_until(
        lambda: not sentinel.clients_of(demoted, "pricing-"), "no process is connected to the demoted server"
    )
    return Figure(
        f"{figure.text}; the demoted server was left at most {left_s:.1f} s later",
        [*figure.missed, *at_most("the demoted server was left", left_s, NORMAL_S)],
    )


def _node_killed(context: Context) -> Figure:
    cluster = context.environment.added.cluster
    assert cluster
    return _played(context, lambda: cluster.kill_owner(tags.of(context.catalogue.hot[0])))


def _slots_moved(context: Context) -> Figure:
    cluster = context.environment.added.cluster
    assert cluster

    def move() -> None:
        for tag in dict.fromkeys(tags.of(product_id) for product_id in context.catalogue.hot[:FLOWING]):
            source, target = cluster.begin_move(tag)
            cluster.move_keys(tag, source, target, at_most=1)
            _updates_flow(context, 2)
            cluster.move_keys(tag, source, target)
            cluster.end_move(tag, source, target)

    return _played(context, move)


def _pooler_restarted(context: Context) -> Figure:
    pooler = context.environment.added.pooler
    assert pooler

    def restart() -> None:
        for _ in context.times(3, quick=1):
            pooler.kill()
            time.sleep(AWAY_S)  # the fault itself
            pooler.start()
            _updates_flow(context, AFTERWARDS)

    return _played(context, restart)


def _played(context: Context, fault: Callable[[], object], before: Callable[[], None] | None = None) -> Figure:
    """What became of reads and updates from the fault on, and how soon new prices were served."""
    context.all_read()
    for product_id in context.catalogue.hot[FLOWING:]:
        context.environment.engine.price(product_id)
    if before:
        before()
    reads, refusals = len(context.reader.reads), len(context.traffic.refusals)
    began = time.monotonic()
    fault()
    over_s = time.monotonic() - began
    once = _update(context, "once", context.catalogue.hot[FLOWING:-LOST])
    eventually(lambda: _are_served(context, once), "the new prices are served")
    normal_s = time.monotonic() - began
    _updates_flow(context, AFTERWARDS)
    seen = context.reader.reads[reads:]
    failed = sum(read.status != 200 for read in seen)
    slowest_s = max((read.ended - read.at for read in seen), default=0.0)
    refused = context.traffic.refusals[refusals:]
    statuses = sorted({refusal.status for refusal in refused} - {503})
    return Figure(
        f"{failed} of {len(seen)} reads failed, the slowest took {slowest_s:.2f} s; {len(refused)} updates were "
        f"refused; the fault took {over_s:.1f} s, new prices were served {normal_s:.1f} s after its beginning",
        [
            *at_most("new prices were served", normal_s - over_s, NORMAL_S),
            *([f"updates were refused with {statuses}, not 503"] if statuses else []),
        ],
    )


def _update(context: Context, name: str, product_ids: list[str]) -> dict[str, Decimal]:
    """Publish an update of each product, and wait until all are applied; the new prices."""
    updates = context.more_traffic(name, product_ids)
    for number, product_id in enumerate(product_ids, 1):
        updates.publish(product_id, number)
    waiting = "SELECT 1 FROM market_events WHERE id = ANY(%s) AND status = 'received'"
    eventually(
        lambda: not context.environment.engine.sql(waiting, list(updates.accepted)), f"the updates {name} are applied"
    )
    return updates.last


def _are_served(context: Context, prices: dict[str, Decimal]) -> bool:
    engine = context.environment.engine
    try:
        return all(
            Decimal(engine.price(product_id, user_location=judgement.HERE)["final_price"]) == price
            for product_id, price in prices.items()
        )
    except (httpx.TransportError, AssertionError):
        return False


def _updates_flow(context: Context, number: int) -> None:
    wanted = len(context.traffic.accepted) + number
    eventually(lambda: len(context.traffic.accepted) >= wanted, "updates are accepted")


_BAR = f"no failed read, no accepted update lost, new prices served ≤ {NORMAL_S:g} s after the fault"


def _case(name: str, fault: str, play: Callable[[Context], Figure], topology: Topology) -> Case:
    return Case(name, fault, _BAR, play, (1_000, FLOWING + ONCE + LOST), 180.0, topology)


CASES = (
    _case(
        "redis-failover", "Redis' primary killed, Sentinel promotes a replica that lags", _primary_killed, "sentinel"
    ),
    _case("redis-demoted", "Sentinel promotes the replica of a primary that goes on", _primary_demoted, "sentinel"),
    _case("cluster-slot-moved", "slots of the cache's cluster move while they are used", _slots_moved, "cluster"),
    _case("cluster-primary-killed", "a primary of the cache's cluster killed", _node_killed, "cluster"),
    _case("pooler-restart", "PgBouncer killed, and started again after 2 s, three times", _pooler_restarted, "pooler"),
)
