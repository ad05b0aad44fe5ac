"""Inputs that once got a wrong price, each with two more of its kind."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from shared.pricing.breaker import counts, opens
from shared.pricing.change_limits import ChangeLimits
from shared.pricing.market_rules import Position, StockPoint, StockRule, Strategy
from shared.pricing.money import round_to
from shared.pricing.policy import DEFAULT_POLICY, Policy
from shared.pricing.readers import is_read
from shared.pricing.signal import Signal
from tests.support.pricing_examples import NOON, competitor, demand, product
from tests.support.repricing import HOUR, SECOND, Shelf

DAY = 24 * HOUR


def shop(category: str, rules: Policy = DEFAULT_POLICY, **facts: Any) -> Shelf:
    return Shelf(product(category=category, **facts), rules)


def with_rule(rules: Policy = DEFAULT_POLICY, **fields: Any) -> Policy:
    """The shipped policy whose competitor rules have other fields."""
    strategies = {
        name: replace(one, competitor=None if one.competitor is None else replace(one.competitor, **fields))
        for name, one in rules.strategies.items()
    }
    return replace(rules, strategies=strategies)


@pytest.mark.parametrize(("before", "after"), [("100", "50"), ("100", "45"), ("10", "400"), ("19.99", "0.01")])
def test_a_new_list_price_is_charged_at_once(before: str, after: str) -> None:
    """Once a step limit of 20 % held it back for ever."""
    shelf = shop("books", base_price=Decimal(before))
    shelf.after(DAY).write(base_price=Decimal(after))
    assert shelf.last.published_price == Decimal(after)


def test_a_new_max_price_and_a_new_markup_are_charged_at_once() -> None:
    shelf = shop("books")
    shelf.write(max_price=Decimal(40))
    assert shelf.price == "40.00"
    assert shelf.write(max_price=None, strategy="demand").published_price == 100


@pytest.mark.parametrize("kind", ["strategy", "policy", "competitor"])
def test_a_rule_that_is_taken_away_leaves_no_trace(kind: str) -> None:
    """Once the price stayed at 76.80 when the strategy was list_price again."""
    shelf = shop("books", strategy="match")
    shelf.take(competitor("80"))
    shelf.after(SECOND).take(competitor("60"))
    if kind == "strategy":
        shelf.write(strategy="list_price")
    elif kind == "policy":
        shelf.write(rules=replace(DEFAULT_POLICY, strategies={**DEFAULT_POLICY.strategies, "match": Strategy()}))
    else:
        shelf.take(competitor("60", in_stock=False))
        shelf.follow(DAY)
    assert shelf.price == "100.00"


@pytest.mark.parametrize("offer", ["60", "79.99", "119"])
def test_a_price_goes_on_to_its_target_by_itself(offer: str) -> None:
    """Once it stopped after one step of 20 %, and an event about the stock moved it further."""
    shelf = shop("electronics", stock=10)
    shelf.take(competitor(offer))
    assert not is_read(shelf.product, shelf.policy, "stock")
    shelf.follow(DAY)
    assert shelf.last.published_price == Decimal(offer)
    assert shelf.last.next_due == NOON + 168 * HOUR


@pytest.mark.parametrize(
    ("category", "kind", "source", "expected"),
    [
        ("electronics", "competitor", "acme", True),
        ("electronics", "competitor", "Our-Shop", False),
        ("electronics", "competitor", "hidden", False),
        ("electronics", "demand", "", False),
        ("electronics", "stock", "", False),
        ("electronics", "cost", "", True),
        ("fashion", "competitor", "acme", False),
        ("fashion", "demand", "", True),
        ("books", "competitor", "acme", False),
        ("toys", "stock", "", True),
    ],
)
def test_an_event_is_read_where_a_rule_of_the_product_reads_it(
    category: str, kind: str, source: str, expected: bool
) -> None:
    scarce = Strategy(stock=StockRule(points=(StockPoint(stock=5, multiplier=Decimal("1.2")),)))
    rules = with_rule(own=("our-shop",), except_=("hidden",))
    rules = replace(
        rules, strategies={**rules.strategies, "scarce": scarce}, categories={**rules.categories, "toys": "scarce"}
    )
    assert is_read(product(category=category), rules, kind, source) is expected


def test_only_named_competitors_are_read() -> None:
    item, rules = product(category="grocery"), with_rule(only=("acme",))
    assert (is_read(item, rules, "competitor", "ACME"), is_read(item, rules, "competitor", "bolt")) == (True, False)


@pytest.mark.parametrize("bad", ["0", "0.01", "29.99", "99999"])
def test_one_bad_price_is_passed_over_and_named(bad: str) -> None:
    """Once a competitor at 0 drew the price down with each further event."""
    shelf = shop("electronics")
    shelf.take(competitor("99", "globex"))
    for _ in range(4):
        shelf.after(SECOND).take(competitor(bad, "acme"))
        assert (shelf.price, shelf.codes) == ("99.00", ["outlier"])


@pytest.mark.parametrize("order", [1, -1])
def test_signals_of_one_instant_give_one_price_in_any_order(order: int) -> None:
    """Once the text of ids decided."""
    offers = [competitor("95", "upd-9"), competitor("90", "upd-10"), demand("1.1", "z"), demand("0.9", "a")]
    shelf = shop("home")
    shelf.take(*offers[::order])
    assert shelf.price == "90.00"


@pytest.mark.parametrize("cost", ["99.00", "95.24", "100"])
def test_the_cost_in_force_bounds_the_price(cost: str) -> None:
    shelf = shop("books", cost=Decimal(80))
    shelf.write(cost=Decimal(cost))
    assert shelf.last.published_price == shelf.last.floor == Decimal(cost) * Decimal("1.05") or cost == "95.24"
    assert shelf.last.published_price >= Decimal(cost) * Decimal("1.05")


@pytest.mark.parametrize("ours", ["our-shop", "Our-Shop", "OUR-SHOP"])
def test_our_own_offer_is_no_competitor(ours: str) -> None:
    """Once our own price, 1 % lower each time, drew us down."""
    shelf = shop("grocery", with_rule(own=("our-shop",)))
    shelf.take(competitor("120", "acme"))
    for _ in range(6):
        shelf.after(SECOND).take(competitor(shelf.price, ours))
        assert (shelf.price, shelf.codes) == ("118.80", ["own_offer"])


def test_our_second_shop_is_not_followed_either() -> None:
    shelf = shop("grocery", with_rule(own=("our-shop", "our-outlet")))
    shelf.take(competitor("120", "acme"), competitor("70", "our-outlet"), competitor("60", "our-shop"))
    assert (shelf.price, shelf.codes) == ("118.80", ["own_offer", "own_offer"])


@pytest.mark.parametrize(("age", "price"), [(timedelta(days=1425), "100.00"), (7 * DAY, "100.00"), (6 * DAY, "85.00")])
def test_an_old_offer_is_not_followed(age: timedelta, price: str) -> None:
    shelf = shop("electronics")
    got = shelf.take(replace(competitor("85"), at=NOON - age))
    assert shelf.price == price
    if price == "100.00":
        assert got.rejected[0].reason == f"acme: price of {(NOON - age).date()} is too old"


@pytest.mark.parametrize("first", [True, False])
def test_an_offer_that_came_before_its_product_decides_the_first_price(first: bool) -> None:
    offer = replace(competitor("90"), at=NOON - timedelta(minutes=59))
    shelf = shop("electronics")
    if first:
        shelf.state = replace(shelf.state, past=())
    shelf.take(offer)
    assert (shelf.price, shelf.last.waits) == ("90.00", None)


def seen(shelf: Shelf) -> str:
    """The price that the market sees."""
    return str(round_to(shelf.last.published_price, "USD"))


def two_shops(**fields: Any) -> tuple[Shelf, Shelf]:
    """Two shops with the shipped policy that undercut each other, at a list price of 100."""
    return (
        shop("grocery", with_rule(own=("left",), **fields)),
        shop("grocery", with_rule(own=("right",), **fields)),
    )


def test_two_shops_that_undercut_each_other_stop_at_the_lowest_price_and_climb_back() -> None:
    left, right = two_shops()
    least = Decimal(100)
    for _ in range(10_000):
        for here, there, name in ((left, right, "right"), (right, left, "left")):
            here.after(SECOND).take(competitor(seen(there), name))
            least = min(least, here.last.published_price)
    assert least == 50
    assert (left.price, right.price) == ("50.00", "50.00")
    left.take(competitor("50", "right", in_stock=False))
    left.follow(3 * DAY)
    assert left.price == "100.00"


def test_two_engines_that_answer_each_other_are_stopped_by_the_ceiling_and_the_limit_of_a_day() -> None:
    """2011: 1.270589 × and 0.9983 × took a book from 35.54 to 23 million."""
    limits = ChangeLimits(max_day_up=Decimal("0.5"))
    wide: dict[str, Any] = {"undercut": Decimal(0), "within": None, "lowest": Decimal("0.1"), "highest": Decimal(100)}

    def engine(position: Position) -> Shelf:
        rules = replace(with_rule(position=position, **wide), max_step=None, hold_above=None, change_limits=limits)
        return shop("grocery", replace(rules, max_over_list=Decimal(3)), base_price=Decimal("35.54"))

    dear = engine(Position(percent=Decimal("27.0589"), side="above"))
    cheap = engine(Position(percent=Decimal("0.17")))
    highest = []
    for _ in range(10):
        for _ in range(12):
            dear.after(HOUR).take(competitor(seen(cheap), "cheap"))
            cheap.after(2 * HOUR).take(competitor(seen(dear), "dear"))
            dear.now = cheap.now
        highest.append(max(dear.last.published_price, cheap.last.published_price))
    assert highest[0] <= Decimal("35.54") * Decimal("1.5") + Decimal("0.01")
    assert max(highest) == highest[-1] == Decimal("106.62")  # 3 × list price
    assert dear.rules[-1] in ("ceiling", "max_day", "competitor")


@pytest.mark.parametrize(("lowest", "most"), [("0.01", 0), ("0.5", 200)])
def test_a_feed_at_one_cent_opens_the_breaker_before_too_many_products_moved(lowest: str, most: int) -> None:
    """2014, with the check of outliers switched off; at the shipped `lowest` the move is too small for a hold."""
    rules = with_rule(within=None, lowest=Decimal(lowest))
    catalogue, counted, moved = 10_000, set[str](), 0
    for number in range(catalogue):
        shelf = shop("electronics", rules, product_id=f"P-{number}").after(2 * HOUR)
        before = shelf.state.past
        decision = shelf.take(competitor("0.01"))
        fresh = {shelf.product.product_id} if counts(rules.breaker, decision, before, shelf.now) else set[str]()
        if opens(rules.breaker, catalogue, len(counted | fresh)):
            break
        counted |= fresh
        moved += decision.published_price != 100
    assert (number, len(counted), moved) == (200, 200, most)  # 2 % of the catalogue


def test_a_breaker_counts_what_automation_moves_far_and_each_product_once() -> None:
    rules = replace(DEFAULT_POLICY, hold_above=None)
    shelf = shop("electronics", rules).after(2 * HOUR)
    past = shelf.state.past

    def counted(signal: Signal, **by: Any) -> bool:
        shelf.signals["competitor", "acme"] = signal
        return counts(rules.breaker, shelf.decide(**by), past, shelf.now)

    assert counted(competitor("69.99"))
    assert not counted(competitor("70"))
    assert not counted(competitor("60"), by_person=True)
    assert not counts(rules.breaker, shelf.decide(), past, NOON + HOUR - SECOND)  # it had no price an hour before
    ids = {f"P-{number}" for number in range(50)}
    assert not opens(rules.breaker, 1_000, len(ids | {"P-1"}))
    assert opens(rules.breaker, 1_000, len(ids | {"P-50"}))
    assert not opens(replace(rules.breaker, share=Decimal(1)), 51, len(ids | {"P-50"}))
