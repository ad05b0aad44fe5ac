"""Twenty months of real competitors' prices, replayed by the worker's functions with each event's instant as now."""

import csv
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

import msgspec
import pytest

from shared.catalogue import product_set
from shared.market_events import signals
from shared.market_events.events import CompetitorPriceChanged
from shared.market_events.signals import SignalUpdate
from shared.postgres import pools
from shared.postgres.pools import Conn
from shared.prices import gathering, history, published
from shared.prices.new_versions import Cause
from shared.prices.published import Repriced
from shared.pricing.change_limits import ChangeLimits
from shared.pricing.compiled import BoundSheet
from shared.pricing.market_rules import CompetitorRule, Strategy
from shared.pricing.policy import DEFAULT_POLICY
from shared.pricing.product import ProductInput
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.rulebook import Promotion, Rulebook, RulebookPolicy
from shared.rulebook import store as rulebook
from shared.rulebook.store import By
from shared.settings import Settings
from tests.support.prerequisites import public_data

pytestmark = pytest.mark.long

BEGIN, END = datetime(2016, 12, 1, tzinfo=UTC), datetime(2018, 10, 1, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
CENT = Decimal("0.01")
STEP, PER_DAY, CHANGES, OVER_LIST, MARGIN = Decimal("0.2"), Decimal("0.5"), 4, Decimal("1.5"), Decimal("0.05")
OFF = Decimal("0.9")
# Every other month, from its 10th on.
WINDOWS = [
    (opens, opens + timedelta(days=15 + index))
    for index, opens in enumerate(datetime(2017 + m // 12, m % 12 + 1, 10, tzinfo=UTC) for m in range(1, 20, 2))
]
MONTH_ENDS = [datetime(2017 + m // 12, m % 12 + 1, 1, tzinfo=UTC) - SECOND for m in range(1, 21)]


class Offer(NamedTuple):
    """A competitor's price for a product from an instant on."""

    at: datetime
    product_id: str
    competitor: str
    price: Decimal


class Replay:
    """The replayed shop; `prices` are the published ones by product, as the decisions returned them."""

    def __init__(self, conn: Conn, base: dict[str, Decimal]) -> None:
        self.conn, self.base = conn, base
        self.prices: dict[str, list[tuple[datetime, Decimal]]] = defaultdict(list)
        self.policy = rulebook.active_policy(conn)
        self.decided_at = BEGIN
        written = [
            ProductInput(product_id=one, name=one, currency="USD", base_price=price, cost=cost_of(price))
            for one, price in base.items()
        ]
        self._note(published.write_products(conn, written, self.policy, Cause("write", "w"), BEGIN), BEGIN)

    def run(self, offers: list[Offer]) -> None:
        """Apply offers and edges of windows in their order, and in between what is due by the clock."""
        edges = [(edge, None) for window in WINDOWS for edge in window]
        for at, offer in sorted([*((one.at, one) for one in offers), *edges, (END, None)], key=lambda one: one[0]):
            self._pass_due(at)
            if offer is None:
                everything = product_set.of_set(product_set.ProductSet())
                cause = Cause("task", at.isoformat())
                self._note(published.reprice_selected(self.conn, everything, self.policy, cause, at), at)
            else:
                self._apply(offer)
            self.conn.commit()

    def _apply(self, offer: Offer) -> None:
        product_id, event_id = offer.product_id, f"{offer.product_id} {offer.competitor} {offer.at.isoformat()}"
        data = CompetitorPriceChanged(
            product_id=product_id, competitor=offer.competitor, price=offer.price, currency="USD"
        )
        assert signals.apply(self.conn, [SignalUpdate.of(data, "replay", offer.at, event_id)])
        causes = {product_id: Cause("event", event_id)}
        self._note(published.reprice_each(self.conn, causes, self.policy, offer.at), offer.at)

    def _pass_due(self, until: datetime) -> None:
        """Decide what is due, at most once a second, as the repricing queue does."""
        while True:
            [row] = self.conn.execute("SELECT min(next_due) AS due FROM prices").fetchall()
            if row["due"] is None or row["due"] > until:
                return
            at = self.decided_at = max(row["due"], self.decided_at + SECOND)
            due = self.conn.execute("SELECT product_id FROM prices WHERE next_due <= %s", [at]).fetchall()
            causes = {one["product_id"]: None for one in due}
            self._note(published.reprice_each(self.conn, causes, self.policy, at), at)
            self.conn.commit()

    def _note(self, repriced: Repriced, at: datetime) -> None:
        assert not repriced.failed
        for product_id in repriced.changed:
            price = Decimal(msgspec.json.decode(repriced.sheets[product_id].json)["published_price"])
            self.prices[product_id].append((at, price))

    def price_at(self, product_id: str, at: datetime) -> Decimal:
        rows = self.prices[product_id]
        return rows[bisect_right(rows, at, key=lambda row: row[0]) - 1][1]

    def public(self, product_id: str, at: datetime) -> tuple[Decimal, bool]:
        """The public price by arithmetic of this test, and whether it is reduced."""
        price = self.price_at(product_id, at)
        full = max(price, floor_of(self.base[product_id])).quantize(CENT, ROUND_HALF_UP)
        if not any(opens <= at < closes for opens, closes in WINDOWS):
            return full, False
        reduced = max(price * OFF, floor_of(self.base[product_id])).quantize(CENT, ROUND_HALF_UP)
        return reduced, reduced < full

    def lowest(self, product_id: str, at: datetime) -> tuple[Decimal, bool] | None:
        """The lowest price of 30 days before the reduction, and whether the history is too short; None: none."""
        if not self.public(product_id, at)[1]:
            return None
        changes = sorted({row[0] for row in self.prices[product_id]} | {edge for window in WINDOWS for edge in window})
        changes = [change for change in changes if change <= at]
        window = next(window for window in WINDOWS if window[0] <= at < window[1])
        begin = at
        for change in reversed(changes):
            if change < window[0] or not self.public(product_id, change)[1]:
                break
            begin = change
        opens = begin - 30 * DAY
        points = [max(opens, BEGIN), *(change for change in changes if opens < change < begin)]
        return min(self.public(product_id, point)[0] for point in points if point >= BEGIN), opens < BEGIN


def cost_of(base: Decimal) -> Decimal:
    return (base * Decimal("0.6")).quantize(CENT)


def floor_of(base: Decimal) -> Decimal:
    return (cost_of(base) * (1 + MARGIN)).quantize(CENT, ROUND_CEILING)


def rules(_: Rulebook) -> Rulebook:
    match = Strategy(competitor=CompetitorRule(lowest=CENT, highest=Decimal(5), max_age_h=24 * 45))
    fields = {name: getattr(DEFAULT_POLICY, name) for name in DEFAULT_POLICY.__struct_fields__}
    fields |= {"strategies": {"match": match}, "default_strategy": "match", "categories": {}}
    fields |= {
        "max_step": STEP,
        "change_limits": ChangeLimits(max_day_up=PER_DAY, max_day_down=PER_DAY, changes_a_day=4),
    }
    promotions = tuple(
        Promotion(id=f"p{number}", percent=Decimal(10), from_=opens.isoformat(), until=closes.isoformat())
        for number, (opens, closes) in enumerate(WINDOWS)
    )
    return Rulebook(policy=RulebookPolicy(**fields), promotions=promotions)


@pytest.fixture(scope="module")
def replay(migrated_database: Callable[[], Settings]) -> Iterator[Replay]:
    dice, offers, base = random.Random(20), list[Offer](), dict[str, Decimal]()
    with (public_data() / "retail_price.csv").open() as file:
        for row in sorted(csv.DictReader(file), key=lambda row: row["month_year"]):
            product_id = row["product_id"]
            base.setdefault(product_id, Decimal(row["unit_price"]).quantize(CENT))
            month = datetime.fromisoformat(row["month_year"]).replace(tzinfo=UTC)
            for name in ("comp_1", "comp_2", "comp_3"):
                at = month + timedelta(seconds=dice.randrange(25 * 86_400))
                offers.append(Offer(at, product_id, name, Decimal(row[name]).quantize(CENT)))
    assert (len(base), len(offers)) == (52, 2028)
    settings = migrated_database()
    with pools.connect(settings, "tests") as conn:
        rulebook.ensure_default(conn)
        rulebook.change(conn, rules, By("tests", "replay"))
        conn.execute("UPDATE rulebooks SET at = %s + version * interval '1 second'", [BEGIN - DAY])
        replay = Replay(conn, base)
        replay.run(offers)
        yield replay


def test_every_published_price_respects_bounds_and_change_limits(replay: Replay) -> None:
    moves = 0
    for product_id, base in replay.base.items():
        floor, ceiling = floor_of(base), (base * OVER_LIST).quantize(CENT, ROUND_FLOOR)
        changes = [
            (row["at"], row["new_price"])
            for row in replay.conn.execute(
                "SELECT recorded_at AS at, new_price FROM price_history WHERE product_id = %s"
                " AND new_price IS DISTINCT FROM old_price ORDER BY version",
                [product_id],
            )
        ]
        for index, (at, price) in enumerate(changes):
            assert floor <= price <= ceiling
            if not index:
                continue
            moves += 1
            last, day_ago = changes[index - 1][1], replay.price_at(product_id, max(at - DAY, BEGIN))
            for before, share in ((last, STEP), (day_ago, PER_DAY)):
                least, most = before * (1 - share), before * (1 + share)
                assert least.quantize(CENT, ROUND_FLOOR) <= price <= most.quantize(CENT, ROUND_CEILING)
            assert sum(at - DAY < other <= at for other, _ in changes[1:]) <= CHANGES
    assert moves > 500


def test_the_history_gives_the_price_as_of_the_end_of_each_month(replay: Replay) -> None:
    for product_id in replay.base:
        for at in MONTH_ENDS:
            sheet = history.sheet_as_of(replay.conn, product_id, at)
            assert sheet.published_price == replay.price_at(product_id, at), (product_id, at)


def test_the_lowest_price_of_30_days_equals_another_computation_at_random_instants(replay: Replay) -> None:
    dice = random.Random(15)
    found = {"none": 0, "low": 0}
    span = int((END - BEGIN - 40 * DAY).total_seconds())
    for product_id in replay.base:
        for _ in range(50):
            at = BEGIN + timedelta(seconds=dice.randrange(span))
            terms = gathering.terms(replay.conn, at)
            bound = BoundSheet(terms.rules, history.sheet_as_of(replay.conn, product_id, at))
            answer = quote(terms, bound, PriceQuery(product_id=product_id), at)
            expected = replay.lowest(product_id, at)
            low: Any = answer.lowest_price
            assert answer.final_price == replay.public(product_id, at)[0]
            got = None if low is None else (low.amount, low.insufficient_history)
            assert got == expected, (product_id, at)
            found["none" if low is None else "low"] += 1
    assert min(found.values()) > 500, found
