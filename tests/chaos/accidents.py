"""Two accidents of other shops, replayed: 2014 everything cost a cent, 2011 two engines answered each other."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from shared.prices.states import StoredState
from tests.chaos.case import Case, Figure
from tests.chaos.context import Context
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1: what is published is what is asked
PRODUCTS = 4_000
LIMIT = 80  # 2 % of them
TRICKLE = 60  # products whose events come a few at a time
LEAST, MOST = Decimal(55), Decimal(150)  # the bounds of a product of 100.00
LIST_PRICE, OVER_LIST = Decimal("35.54"), 3  # 2011: the book's price, and the ceiling of this case
DAYS, ROUNDS = 6, 40
BATCH = 1_000  # events of one call
_MOVED = "SELECT count(*) AS n FROM prices WHERE product_id = ANY(%s) AND published_price <> 100"
_OUTSIDE = "SELECT count(*) AS n FROM price_history WHERE product_id = ANY(%s) AND new_price NOT BETWEEN %s AND %s"
_BUSY = "SELECT count(*) AS n FROM tasks WHERE status IN ('queued', 'running')"
_APPLIED = "SELECT count(*) AS n FROM market_events WHERE source = 'accident' AND status <> 'received' AND id = ANY(%s)"


def _one_cent(context: Context) -> Figure:
    """2014: a feed prices everything at 0.01, with the check of outliers switched off; its events and its quotes do."""
    engine, feed, ids = context.environment.engine, context.environment.feed, context.catalogue.plain
    engine.sql("UPDATE products SET strategy = 'match', min_price = %s WHERE product_id = ANY(%s)", LEAST, ids)
    with _policy(context, {"match": {"within": None}}):
        long_ago = datetime.now(UTC) - timedelta(days=2)
        past = json.dumps({"past": [[long_ago.isoformat(), "100.00"]]})
        engine.sql("UPDATE prices SET state = %s WHERE product_id = ANY(%s)", past, ids)
        context.say(f"a cent for {TRICKLE} products, ten at a time, and then for all")
        for start in range(0, TRICKLE, 10):
            _offer(context, ids[start : start + 10], "0.01")
            _until_applied(context, ids[start : start + 10], "0.01")
        began = time.monotonic()
        _offer(context, ids[TRICKLE:], "0.01")
        eventually(lambda: engine.http.get("/api/v1/breaker").json()["is_open"], "the breaker is open")
        opened_s = time.monotonic() - began
        _until_applied(context, ids, "0.01")
        feed.quotes = {
            each: [{"product_id": each, "competitor": "globex", "price": "0.01", "currency": "USD"}] for each in ids
        }
        context.ended(engine.recalculate())
        moved, ready = _count(context, _MOVED, ids), engine.http.get("/health/ready").json()["automation"]

        context.say("the feed is corrected, and the breaker is reset")
        feed.quotes = {each: [quotes[0] | {"price": "100.00"}] for each, quotes in feed.quotes.items()}
        _offer(context, ids, "100.00")
        _until_applied(context, ids, "100.00")
        context.ended(engine.recalculate())
        began = time.monotonic()
        assert engine.http.post("/api/v1/breaker/reset", json={"reason": "it is corrected"}).status_code == 200
        eventually(lambda: not _count(context, _MOVED, ids), "all prices are as before")
        back_s = time.monotonic() - began
        feed.quotes = {}
    missed = [] if moved <= LIMIT else [f"{moved} products moved, the bar is {LIMIT}"]
    missed += [] if ready == "stopped" else [f"/health/ready says automation: {ready}"]
    return Figure(
        f"open {opened_s:.1f} s after the flood began, {moved} of {len(ids):,} products moved; "
        f"all as before {back_s:.1f} s after the reset",
        missed + _outside(context, ids, LEAST, MOST),
    )


def _two_engines(context: Context) -> Figure:
    """2011: one asks 1.270589 × the other's price, and that one 0.9983 × the first's; days pass in between."""
    strategies = {
        "dear": _answers(Decimal("27.0589"), "above", "cheap"),
        "cheap": _answers(Decimal("0.17"), "below", "dear"),
    }
    engine, names = context.environment.engine, {name: f"{context.run}-{name}" for name in strategies}
    ceiling = LIST_PRICE * OVER_LIST
    with _policy(context, strategies, max_over_list=OVER_LIST):
        for name, product_id in names.items():
            engine.put_product(product_id=product_id, base_price=str(LIST_PRICE), strategy=name)
        days = [_until_still(context, names)]
        while max(days[-1].values()) < ceiling and len(days) < DAYS:
            _a_day_passes(context, names)
            days.append(_until_still(context, names))
        highest = [max(prices.values()) for prices in days]
        context.say(f"the highest prices by day: {', '.join(map(str, highest))}; one of the two leaves")
        left = 0
        while set(_until_still(context, names, in_stock=False).values()) != {LIST_PRICE} and left < DAYS:
            _a_day_passes(context, names)
            left += 1
    first_day = LIST_PRICE * Decimal("1.5")
    missed = [] if highest[0] <= first_day else [f"{highest[0]} on the first day, the bar is {first_day}"]
    missed += [] if highest[-1] == ceiling else [f"{highest[-1]} in the end, the ceiling is {ceiling}"]
    missed += [] if left < DAYS else [f"the prices do not come back within {DAYS} days"]
    return Figure(
        f"{highest[0]} on the first day, {highest[-1]} from day {len(days)} on; as before {left} day(s) after one left",
        missed + _outside(context, list(names.values()), Decimal(0), ceiling),
    )


def _answers(percent: Decimal, side: str, only: str) -> dict[str, Any]:
    position = {"percent": str(percent), "side": side}
    return {"position": position, "only": [only], "within": None, "lowest": "0.01", "highest": "100"}


def _until_still(context: Context, names: dict[str, str], *, in_stock: bool = True) -> dict[str, Decimal]:
    """Tell each engine the other's price, until both prices stay three times; returns them."""
    engine, seen = context.environment.engine, [dict[str, Decimal]()]
    for _ in range(ROUNDS):
        for name, other in (("dear", "cheap"), ("cheap", "dear")):
            price = engine.price(names[other], user_location=HERE)["final_price"]
            data = {"product_id": names[name], "competitor": other, "price": price, "currency": "USD"}
            event = engine.publish("competitor_price_changed", data | {"in_stock": in_stock})
            assert engine.settled(event["event_id"])["status"] == "applied"
        prices = {id_: Decimal(engine.price(id_, user_location=HERE)["final_price"]) for id_ in names.values()}
        seen = [*seen[-2:], prices]
        if all(each == prices for each in seen) and len(seen) > 2:
            return prices
    raise AssertionError(f"the prices still move after {ROUNDS} rounds: {seen[-1]}")


def _a_day_passes(context: Context, names: dict[str, str]) -> None:
    """Move the past of both prices back by a day and an hour."""
    engine = context.environment.engine
    for product_id in names.values():
        [row] = engine.sql("SELECT state FROM prices WHERE product_id = %s", product_id)
        state = msgspec.json.decode(row["state"], type=StoredState)
        past = tuple(msgspec.structs.replace(one, at=one.at - timedelta(hours=25)) for one in state.past)
        earlier = msgspec.json.encode(msgspec.structs.replace(state, past=past)).decode()
        engine.sql("UPDATE prices SET state = %s WHERE product_id = %s", earlier, product_id)


@contextmanager
def _policy(context: Context, competitors: dict[str, dict[str, Any]], **fields: object) -> Iterator[None]:
    """The policy in force with these fields of competitor rules, within the block."""
    engine = context.environment.engine
    before = engine.http.get("/api/v1/rulebook").json()["policy"]
    strategies = dict(before["strategies"])
    for name, rule in competitors.items():
        known: dict[str, Any] = strategies.get(name) or strategies["match"]
        strategies[name] = known | {"competitor": known["competitor"] | rule}
    _put(context, before | {"strategies": strategies} | fields)
    try:
        yield
    finally:
        _put(context, before)


def _put(context: Context, policy: dict[str, Any]) -> None:
    answer = context.environment.engine.http.put("/api/v1/policy", json=policy)
    assert answer.status_code == 200, answer.text
    eventually(lambda: not _count(context, _BUSY), "all prices are decided by the policy")


def _offer(context: Context, ids: list[str], price: str) -> None:
    """Publish a competitor's price of each product, as fast as it goes; over HTTP, where none is lost."""
    for start in range(0, len(ids), BATCH):
        events = [
            {
                "specversion": "1.0",
                "id": f"{product_id}-{price}",
                "source": "accident",
                "type": "competitor_price_changed",
                "data": {"product_id": product_id, "competitor": "acme", "price": price, "currency": "USD"},
            }
            for product_id in ids[start : start + BATCH]
        ]
        answer = context.environment.engine.http.post(
            "/api/v1/publish-market-event",
            content=json.dumps(events),
            headers={"content-type": "application/cloudevents-batch+json"},
        )
        assert answer.status_code == 200, answer.text


def _until_applied(context: Context, product_ids: list[str], price: str) -> None:
    ids = [f"{product_id}-{price}" for product_id in product_ids]
    context.seconds_until(lambda: _count(context, _APPLIED, ids) == len(ids), f"all events of {price} are applied")


def _count(context: Context, query: str, *values: object) -> int:
    return int(context.environment.engine.sql(query, *values)[0]["n"])


def _outside(context: Context, ids: list[str], least: Decimal, most: Decimal) -> list[str]:
    """Prices of the history, which are all that were served, outside the bounds."""
    count = _count(context, _OUTSIDE, ids, least, most)
    return [f"{count} prices outside {least} to {most}"] if count else []


CASES = (
    Case(
        "one-cent-feed",
        "2014: a feed prices everything at 0.01, outliers are let through",
        f"the breaker opens before more than {LIMIT} of {PRODUCTS:,} products moved; no price outside the bounds; "
        "all as before after the reset",
        _one_cent,
        products=(PRODUCTS, 8),
    ),
    Case(
        "two-engines",
        "2011: two engines answer each other with 1.270589 × and 0.9983 ×",
        f"at most + 50 % a day, and {OVER_LIST} × the list price; as before when one leaves",
        _two_engines,
    ),
)
