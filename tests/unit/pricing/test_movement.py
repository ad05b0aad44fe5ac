"""Change limits: how far automation moves a price now, and when it goes on."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.pricing.change_limits import ChangeLimits, QuietHours
from shared.pricing.decision import Decision, decide
from shared.pricing.policy import Policy
from shared.pricing.signal import Signal
from shared.pricing.state import MOST_KEPT, NEW, PastPrice, PriceState, price_at, remember
from tests.support.pricing_examples import NOON, PROPERTY, amounts, competitor, policy, product
from tests.support.repricing import HOUR, MINUTE, SECOND, Shelf

DAY = 24 * HOUR
ANY_DAY: dict[str, Any] = {"max_day_up": None, "max_day_down": None}
NIGHT = QuietHours(from_="22:00", until="06:00")


def limited(**limits: Any) -> Policy:
    return policy(hold_above=None, change_limits=ChangeLimits(**{**ANY_DAY, **limits}))


def test_steps_up_and_down_have_their_own_limits() -> None:
    rules = limited(max_step_up=Decimal("0.05"), max_step_down=Decimal("0.2"))
    shelf = Shelf(rules=rules)
    shelf.take(competitor("60"))
    assert (shelf.price, shelf.last.waits) == ("80.00", "max_step")
    shelf.follow(MINUTE)
    assert (shelf.price, shelf.last.waits) == ("60.00", None)
    shelf.take(competitor("100"))
    assert shelf.price == "63.00"
    assert shelf.last.steps[-1].reason == "at most 5 % from the last price 60.00"
    assert shelf.last.next_due == shelf.now + SECOND


def test_the_limit_of_a_day_is_against_the_price_of_24_hours_ago() -> None:
    shelf = Shelf(rules=limited(max_day_down=Decimal("0.2"), max_day_up=Decimal("0.1"))).after(30 * HOUR)
    shelf.take(competitor("55"))
    assert (shelf.price, shelf.last.waits, shelf.last.next_due) == ("80.00", "max_day", shelf.now + DAY)
    assert shelf.last.steps[-1].reason == "at most 20 % from the price of 24 hours ago, 100.00"
    shelf.after(HOUR).take(competitor("54"))
    assert (shelf.price, shelf.last.next_due) == ("80.00", shelf.now + 23 * HOUR)
    assert shelf.follow(23 * HOUR) == 1
    assert shelf.price == "64.00"  # 20 % below 80.00
    shelf.take(competitor("120"))
    assert shelf.price == "88.00"


def test_the_first_day_of_a_product_is_measured_against_its_first_price() -> None:
    shelf = Shelf(rules=limited(max_step_down=Decimal("0.2"), max_day_down=Decimal("0.3")))
    shelf.take(competitor("50"))
    shelf.follow(HOUR)
    assert (shelf.price, shelf.last.waits) == ("70.00", "max_day")


def test_a_limit_never_moves_a_price_away_from_its_target() -> None:
    """A person halved the price twice; 24 hours ago it was 100."""
    shelf = Shelf(product(), limited(max_day_down=Decimal("0.5"), max_day_up=Decimal("0.1")))
    shelf.write(base_price=Decimal(25))
    assert shelf.price == "25.00"
    shelf.take(competitor("24"))
    assert (shelf.price, shelf.last.waits) == ("25.00", "max_day")
    shelf.take(competitor("26"))
    assert (shelf.price, shelf.last.waits) == ("26.00", None)


def test_between_two_changes_there_are_minutes() -> None:
    shelf = Shelf(rules=limited(min_minutes=30))
    shelf.take(competitor("90"))
    shelf.after(10 * MINUTE).take(competitor("80"))
    assert (shelf.price, shelf.last.waits, shelf.last.next_due) == ("90.00", "min_minutes", NOON + 30 * MINUTE)
    assert shelf.follow(HOUR) == 1
    assert shelf.price == "80.00"


def test_a_day_has_so_many_changes() -> None:
    shelf = Shelf(rules=limited(changes_a_day=2))
    for price in ("90", "80", "70"):
        shelf.after(HOUR).take(competitor(price))
    assert (shelf.price, shelf.last.waits) == ("80.00", "changes_a_day")
    assert shelf.last.next_due == NOON + 25 * HOUR
    shelf.follow(DAY)
    assert shelf.price == "70.00"


def test_the_first_price_of_a_product_is_no_change() -> None:
    shelf = Shelf(rules=limited(min_minutes=60, changes_a_day=1)).after(SECOND)
    assert shelf.take(competitor("90")).published_price == 90


def test_quiet_hours_change_nothing_and_end_by_the_clock_of_their_zone() -> None:
    """2026-03-28: the night before clocks change in Berlin."""
    shelf = Shelf(rules=limited(quiet_hours=NIGHT, zone="Europe/Berlin"), now=NOON + 27 * DAY)
    shelf.after(11 * HOUR).take(competitor("90"))
    assert (shelf.price, shelf.last.waits, shelf.last.steps[-1].rule) == ("100.00", "quiet_hours", "quiet_hours")
    assert shelf.last.next_due == NOON + 27 * DAY + 16 * HOUR  # 04:00 UTC
    shelf.follow(6 * HOUR)
    assert shelf.price == "90.00"


def test_the_limit_that_ends_last_is_named() -> None:
    shelf = Shelf(rules=limited(quiet_hours=NIGHT, changes_a_day=1, min_minutes=30)).after(9 * HOUR + 50 * MINUTE)
    shelf.take(competitor("90"))
    shelf.after(15 * MINUTE).take(competitor("80"))
    assert shelf.last.waits == "changes_a_day"


def test_the_floor_wins_over_every_limit() -> None:
    shelf = Shelf(product(min_price=Decimal(10)), limited(quiet_hours=NIGHT, max_step_up=Decimal("0.01")))
    shelf.after(11 * HOUR)
    shelf.product = replace(shelf.product, cost=Decimal(200))  # an event, not a person
    shelf.decide()
    assert (shelf.price, shelf.rules[-1]) == ("210.00", "floor")


def test_signals_that_expire_are_due_when_they_do() -> None:
    shelf = Shelf(rules=limited())
    short = replace(competitor("90", "acme"), expires_at=NOON + 2 * HOUR)
    shelf.take(short, competitor("95", "bolt"), competitor("10", "carl"))
    assert shelf.last.next_due == NOON + 2 * HOUR
    shelf.follow(3 * HOUR)
    assert (shelf.price, shelf.last.next_due) == ("95.00", NOON + 168 * HOUR)
    shelf.follow(170 * HOUR)
    due = str(shelf.last.next_due)
    assert (shelf.price, due, shelf.codes[:3]) == ("100.00", "None", 3 * ["stale_signal"])


def test_a_price_at_its_target_is_not_due() -> None:
    assert Shelf(rules=limited(max_step_down=Decimal("0.1"), quiet_hours=NIGHT)).last.next_due is None


limit_sets = st.builds(
    ChangeLimits,
    max_step_up=st.none() | st.decimals("0.01", 1, places=2),
    max_step_down=st.none() | st.decimals("0.01", 1, places=2),
    max_day_up=st.none() | st.decimals("0.05", 1, places=2),
    max_day_down=st.none() | st.decimals("0.05", 1, places=2),
    min_minutes=st.none() | st.integers(1, 1440),
    changes_a_day=st.none() | st.integers(1, 24),
    quiet_hours=st.none() | st.just(NIGHT),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"]),
)


@PROPERTY
@given(limit_sets, st.decimals(50, 120, places=2), st.decimals(0, 110, places=2), st.integers(0, 200))
def test_a_target_is_reached_by_following_the_due_times_alone(
    limits: ChangeLimits, wanted: Decimal, cost: Decimal, hours: int
) -> None:
    rules = policy(hold_above=None, change_limits=limits)
    shelf = Shelf(product(cost=cost), rules).after(timedelta(hours=hours))
    offer = Signal(kind="competitor", source="acme", value=wanted, currency="USD")  # without an instant: never too old
    shelf.signals["competitor", "acme"] = offer
    target = shelf.decide().target
    shelf.follow(400 * DAY)
    assert (shelf.last.published_price, shelf.last.waits, shelf.last.next_due) == (target, None, None)


@PROPERTY
@given(limit_sets, amounts(largest=500), amounts(largest=500), amounts(largest=500))
def test_a_price_stays_between_the_last_price_and_its_target(
    limits: ChangeLimits, last: Decimal, day_ago: Decimal, offer: Decimal
) -> None:
    rules = policy(hold_above=None, change_limits=limits, max_over_list=Decimal(100))
    past = (PastPrice(NOON - 30 * HOUR, day_ago), PastPrice(NOON - HOUR, last))
    signals = [competitor(str(offer))] if offer else []
    got: Decision = decide(product(), signals, rules, PriceState(past=past), NOON)
    assert min(last, got.target) <= got.published_price <= max(last, got.target)


@pytest.mark.parametrize("count", [1, MOST_KEPT, 3 * MOST_KEPT])
def test_the_remembered_prices_are_few_and_include_the_one_in_force_24_hours_ago(count: int) -> None:
    past = NEW.past
    for number in range(count):
        past = remember(past, Decimal(number), NOON + number * MINUTE)
    past = remember(past, Decimal(7777), NOON + DAY + HOUR)
    assert len(past) <= MOST_KEPT
    assert (past[-1].price, price_at(past, NOON + DAY + HOUR)) == (Decimal(7777), Decimal(7777))
    reference = price_at(past, NOON + HOUR)
    assert reference is not None
    assert abs(reference - min(count - 1, 60)) <= 5
    later = remember(past, Decimal(7777), NOON + 3 * DAY)
    assert [entry.price for entry in later] == [7777]


def test_before_the_first_price_there_was_none() -> None:
    past = remember((), Decimal(5), NOON)
    assert price_at(past, NOON - SECOND) is None
    assert remember(past, Decimal(5), NOON + HOUR) == past
