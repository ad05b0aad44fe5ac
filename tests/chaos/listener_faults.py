"""The listener is down while events arrive; its link to the channel dies without a word."""

import threading
import time

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.support.trap import Trap

DOWN_S, QUICK_DOWN_S = 60.0, 15.0
EVENTS, QUICK_EVENTS = 5_000, 500
PUBLISHERS, PRODUCTS = 4, 400
SETTLED_S, NOTICED_S = 30.0, 5.0
SUBSCRIPTION = b"SUBSCRIBE\r\n$13\r\nmarket_events"
_WAITING = "SELECT count(*) AS n FROM market_events WHERE status = 'received'"


def _down(context: Context) -> Figure:
    down_s, events = (QUICK_DOWN_S, QUICK_EVENTS) if context.quick else (DOWN_S, EVENTS)
    began = time.monotonic()
    with context.environment.apps.stopped("listener"):
        _publish(context, events)
        context.say(f"{events} events are stored after {time.monotonic() - began:.0f} s")
        time.sleep(max(0.0, began + down_s - time.monotonic()))  # the fault itself
        context.traffic.stop()
    took = context.seconds_until(
        lambda: context.environment.engine.sql(_WAITING)[0]["n"] == 0, "all events are settled"
    )
    return Figure(f"{events} events settled in {took:.1f} s", at_most("all settled", took, SETTLED_S))


def _publish(context: Context, events: int) -> None:
    """Publish events for many products over several connections; each product's over one, in their order."""
    products = context.catalogue.hot[-PRODUCTS:]
    traffics = [context.more_traffic(f"burst{n}", products[n::PUBLISHERS]) for n in range(PUBLISHERS)]
    threads = [threading.Thread(target=traffic.burst, args=(events // PUBLISHERS,)) for traffic in traffics]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _black_hole(context: Context) -> Figure:
    worst = 0.0
    for _ in context.times(3, quick=1):
        with context.environment.to_redis.trap(Trap((SUBSCRIPTION,))) as subscribed:
            assert context.environment.to_redis.black_hole(SUBSCRIPTION) == 1, "there is not exactly one subscription"
            began = time.monotonic()
            worst = max(worst, subscribed.wait("the listener subscribes anew").at - began)
        context.environment.to_redis.heal()
        data: dict[str, object] = {"product_id": context.catalogue.hot[-1], "index": "1.1"}
        event_id = context.environment.engine.broadcast("demand_changed", data)
        heard = context.environment.engine.settled(event_id)["status"]
        assert heard == "applied", f"an event over the new link ended {heard}"
    return Figure(f"noticed in {worst:.1f} s at worst", at_most("noticed", worst, NOTICED_S))


CASES = (
    Case(
        "listener-down",
        "listener down 60 s while 5,000 events arrive over HTTP",
        "all settled ≤ 30 s after its start",
        _down,
        products=(1_000, 408),
        limit_s=400,
    ),
    Case("pubsub-black-holed", "the bytes of the Pub/Sub link vanish", "noticed ≤ 5 s", _black_hole, (1_000, 9)),
)
