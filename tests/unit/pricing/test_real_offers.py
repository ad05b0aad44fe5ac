"""Real offers of competitors, replayed through the decision with their own instants as its clock."""

import csv
import gzip
import random
import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from shared.pricing.breaker import counts, opens
from shared.pricing.lowest_price import PublicPrice, lowest_price
from shared.pricing.money import round_to
from shared.pricing.policy import DEFAULT_POLICY, Policy
from shared.pricing.signal import Signal
from tests.support.prerequisites import public_data
from tests.support.pricing_examples import product
from tests.support.repricing import HOUR, MINUTE, Shelf

DAY = 24 * HOUR
MATCH = replace(DEFAULT_POLICY, categories={}, default_strategy="match")


def offer(source: str, price: Decimal, currency: str, at: datetime) -> Signal:
    return Signal(kind="competitor", source=source, value=price, currency=currency, at=at)


def morning(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(hour=6, tzinfo=UTC)


def test_a_week_of_grocers_offers_holds_few_changes_and_never_opens_the_breaker() -> None:
    """The list price is the median of the first day, whose offers come before the count begins."""
    with gzip.open(public_data() / "grocers_offers.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    days: dict[str, dict[str, list[tuple[str, Decimal]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        days[row["day"]][row["barcode"]].append((row["chain"], Decimal(row["price"])))
    first, *others = sorted(days)
    shelves = {}
    for barcode, offers in days[first].items():
        base = round_to(Decimal(statistics.median(price for _, price in offers)), "ILS")
        shelf = Shelf(product(product_id=barcode, currency="ILS", base_price=base), MATCH, morning(first))
        shelf.take(*(offer(chain, price, "ILS", shelf.now) for chain, price in offers))
        shelf.decide(chosen=shelf.last.target)
        shelves[barcode] = shelf
    changes, held = 0, set[tuple[str, str]]()
    for day in others:
        counted = set[str]()
        for barcode, offers in days[day].items():
            if barcode not in shelves:
                continue  # the first day had no offer
            shelf = shelves[barcode]
            shelf.follow(morning(day) - shelf.now)
            before = shelf.state.past
            old = {chain: shelf.signals["competitor", chain].value for kind, chain in shelf.signals}
            changes += sum(chain in old and old[chain] != price for chain, price in offers)
            got = shelf.take(*(offer(chain, price, "ILS", shelf.now) for chain, price in offers))
            if got.hold is not None:
                held.add((barcode, str(got.target)))
            if counts(MATCH.breaker, got, before, shelf.now):
                counted.add(barcode)
        assert not opens(MATCH.breaker, len(shelves), len(counted))
    assert changes > 1_500
    assert len(held) < 0.05 * changes


def test_twenty_months_of_competitors_keep_bounds_and_limits_and_give_the_lowest_price() -> None:
    with (public_data() / "retail_price.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["month_year"])
    rules: Policy = replace(MATCH, hold_above=None, min_margin=Decimal("0.05"))
    shelves: dict[str, Shelf] = {}
    for row in rows:
        now, base = morning(row["month_year"]), round_to(Decimal(row["unit_price"]), "USD")
        name = row["product_id"]
        if name not in shelves:
            cost = round_to(base * Decimal("0.6"), "USD")
            shelves[name] = Shelf(product(product_id=name, base_price=base, cost=cost), rules, now)
        shelf = shelves[name]
        shelf.follow(now + MINUTE - shelf.now)
        shelf.take(*(offer(f"comp_{n}", round_to(Decimal(row[f"comp_{n}"]), "USD"), "USD", now) for n in (1, 2, 3)))
    dice = random.Random(1)
    for shelf in shelves.values():
        shelf.follow(30 * DAY)
        assert_limits_are_kept(shelf)
        prices = shelf.history
        public = [PublicPrice(at=one.at, price=one.price, reference=shelf.product.base_price) for one in prices]
        begin, end = prices[0].at, shelf.now
        for _ in range(50):
            at = begin + timedelta(seconds=dice.randrange(int((end - begin).total_seconds())))
            in_force = max((one for one in prices if one.at <= at), key=lambda one: one.at)
            found = lowest_price(public, at, mode="rolling")
            if in_force.price >= shelf.product.base_price:
                assert found is None
                continue
            assert found is not None
            opens_at = in_force.at - 30 * DAY
            earlier = [
                one.price
                for one, until in zip(prices, [*(two.at for two in prices[1:]), end], strict=True)
                if one.at < in_force.at and until > opens_at
            ]
            assert found.price == (min(earlier) if earlier else None)


def assert_limits_are_kept(shelf: Shelf) -> None:
    step, day = Decimal("0.2"), Decimal("0.5")
    floor, ceiling = shelf.last.floor, shelf.last.ceiling
    assert ceiling is not None
    for index, one in enumerate(shelf.history):
        assert floor <= one.price <= ceiling
        if not index:
            continue
        last = shelf.history[index - 1].price
        assert abs(one.price - last) <= last * step + Decimal("0.01")
        day_ago = [entry.price for entry in shelf.history[:index] if entry.at <= one.at - DAY]
        reference = day_ago[-1] if day_ago else shelf.history[0].price
        assert abs(one.price - reference) <= reference * day + Decimal("0.01")
