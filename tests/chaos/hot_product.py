"""Ten thousand events for one product in a second."""

import json
import math
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context

EVENTS = 10_000
SERVED_S, STORED_S = 2.0, 60.0
SOURCE = "burst"
_SEEN = """
SELECT count(*) AS stored, count(*) FILTER (WHERE status = 'received') AS waiting,
    extract(epoch FROM max(applied_at) - min(recorded_at)) AS elapsed_s, max(recorded_at) AS last_stored
FROM market_events WHERE source = %s
"""
_LAST = "SELECT data->>'price' AS price FROM market_events WHERE source = %s ORDER BY occurred_at DESC, id DESC LIMIT 1"
_DECISIONS = "SELECT count(*) AS n FROM price_history WHERE product_id = %s AND cause = 'event'"


def _burst(context: Context) -> Figure:
    engine = context.environment.engine
    # So dear that ten thousand prices differ by a cent each and all are within the largest step.
    product_id = str(
        engine.put_product(product_id=f"{context.run}-own", base_price="10000", strategy="match")["product_id"]
    )
    sent_s = _publish(context, product_id)
    lost = _not_stored(context)
    last = Decimal(engine.sql(_LAST, SOURCE)[0]["price"])
    served_at = time.time() + context.seconds_until(
        lambda: Decimal(str(engine.price(product_id, user_location="CHI")["final_price"])) == last,
        "the last value is served",
    )
    context.seconds_until(lambda: engine.sql(_SEEN, SOURCE)[0]["waiting"] == 0, "all are settled")
    seen = engine.sql(_SEEN, SOURCE)[0]
    late_s = max(0.0, served_at - seen["last_stored"].timestamp())
    decisions, allowed = int(engine.sql(_DECISIONS, product_id)[0]["n"]), 2 + math.ceil(seen["elapsed_s"])
    many = [f"{decisions} decisions in {seen['elapsed_s']:.1f} s, the bar is {allowed}"] if decisions > allowed else []
    return Figure(
        f"{EVENTS} events sent in {sent_s:.1f} s, {seen['stored']} stored: "
        f"{decisions} decisions in {seen['elapsed_s']:.1f} s, the last served {late_s:.1f} s after it was stored",
        # Where some never came, the wait for them was measured, too.
        [*many, *(lost or at_most("the last value served", late_s, SERVED_S))],
    )


def _publish(context: Context, product_id: str) -> float:
    """Publish as another service does, as fast as it goes; how long it took."""
    began, first = time.monotonic(), datetime.now(UTC) - timedelta(seconds=1)
    prices = context.rng.sample(range(920_000, 1_000_000), EVENTS)
    with context.environment.engine.redis.pipeline(transaction=False) as pipe:
        for number, cents in enumerate(prices):
            competitor = {
                "product_id": product_id,
                "competitor": "acme",
                "price": f"{cents / 100:.2f}",
                "currency": "USD",
            }
            event = {"specversion": "1.0", "id": f"b-{number:05}", "source": SOURCE}
            event |= {"type": "competitor_price_changed", "time": (first + timedelta(microseconds=number)).isoformat()}
            pipe.publish("market_events", json.dumps(event | {"data": competitor}))
        pipe.execute()
    return time.monotonic() - began


def _not_stored(context: Context) -> list[str]:
    """Wait for all of them; what is wrong where some never come."""

    def stored() -> int:
        return int(context.environment.engine.sql(_SEEN, SOURCE)[0]["stored"])

    try:
        context.seconds_until(lambda: stored() == EVENTS, "all events are stored", STORED_S)
    except AssertionError:
        return [f"{stored()} of {EVENTS} events were stored"]
    return []


CASES = (
    Case(
        "hot-product",
        "10,000 events for one product in a second",
        "at most 2 + elapsed seconds decisions; the last value served ≤ 2 s after it was stored",
        _burst,
    ),
)
