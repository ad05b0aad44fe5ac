"""Holds, pauses, observation, manual prices, and what a person's decision ignores."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from shared.pricing.change_limits import ChangeLimits, QuietHours
from shared.pricing.policy import Policy
from shared.pricing.state import ManualPrice, Pause
from tests.support.pricing_examples import NOON, competitor, demand, policy, product
from tests.support.repricing import HOUR, MINUTE, Shelf

ANY_DAY = ChangeLimits(max_day_up=None, max_day_down=None)


def careful(**fields: Any) -> Policy:
    return policy(**{"hold_above": Decimal("0.3"), "change_limits": ANY_DAY, **fields})


def test_a_target_far_away_waits_for_a_person_and_the_price_stays() -> None:
    shelf = Shelf(rules=careful())
    got = shelf.take(competitor("60"))
    assert (shelf.price, got.target, got.waits) == ("100.00", Decimal(60), "hold")
    assert got.hold is not None
    assert (got.hold.code, got.hold.since, got.hold.expires_at) == ("hold_above", NOON, NOON + 72 * HOUR)
    assert got.hold.reason == "the target 60.00 is more than 30 % from the price 100.00"
    assert (got.rejected[-1].code, got.steps[-1].after, got.next_due) == ("held", Decimal(100), NOON + 72 * HOUR)


@pytest.mark.parametrize(("decimals", "shown"), [(None, "63.34"), (4, "63.3367")])
def test_the_reason_of_a_hold_shows_amounts_in_the_decimals_of_the_product(decimals: int | None, shown: str) -> None:
    shelf = Shelf(product(price_decimals=decimals), careful())
    held = shelf.take(competitor("63.3367")).hold
    assert held is not None
    assert held.reason == f"the target {shown} is more than 30 % from the price 100.00"


def test_a_target_at_the_limit_is_published() -> None:
    assert Shelf(rules=careful()).take(competitor("70")).published_price == 70


def test_a_newer_decision_replaces_a_hold_and_keeps_its_beginning() -> None:
    shelf = Shelf(rules=careful())
    shelf.take(competitor("60"))
    held = shelf.after(HOUR).take(competitor("55")).hold
    assert held is not None
    assert (held.target, held.since, held.expires_at) == (Decimal(55), NOON, NOON + 72 * HOUR)
    got = shelf.after(HOUR).take(competitor("90"))
    assert (got.published_price, got.hold) == (Decimal(90), None)


def test_a_hold_ends_by_itself_and_the_next_decision_may_hold_again() -> None:
    shelf = Shelf(rules=careful(hold_expires_h=5))
    shelf.take(competitor("60"))
    assert shelf.follow(6 * HOUR) == 1
    assert (shelf.price, shelf.last.hold, shelf.last.waits) == ("100.00", None, "hold_ended")
    held = shelf.take(competitor("60")).hold
    assert held is not None
    assert held.since == NOON + 6 * HOUR


def test_the_hold_of_an_open_breaker_is_made_anew_at_its_end_and_waits_for_the_reset() -> None:
    shelf = Shelf(rules=careful(hold_expires_h=5))
    shelf.state = replace(shelf.state, is_stopped=True)
    shelf.take(competitor("60"))
    assert shelf.follow(6 * HOUR) == 1
    held = shelf.last.hold
    assert held is not None
    assert (held.code, held.since, shelf.price) == ("breaker", NOON + 5 * HOUR, "100.00")
    shelf.after(5 * HOUR)
    shelf.state = replace(shelf.state, is_stopped=False)
    got = shelf.decide()  # the hold is over; a person has not seen it for this reason yet
    assert got.hold is not None
    assert (got.hold.code, got.hold.since) == ("hold_above", shelf.now)


def test_another_target_at_the_end_of_a_hold_is_a_new_hold() -> None:
    shelf = Shelf(rules=careful(hold_expires_h=5))
    shelf.take(competitor("60"))
    held = shelf.after(5 * HOUR).take(competitor("50")).hold
    assert held is not None
    assert held.since == shelf.now


def test_an_approval_publishes_the_held_price_without_any_limit() -> None:
    rules = careful(change_limits=ChangeLimits(max_step_down=Decimal("0.01"), max_day_down=Decimal("0.01")))
    shelf = Shelf(rules=rules)
    held = shelf.take(competitor("60")).hold
    assert held is not None
    got = shelf.decide(chosen=held.target)
    assert (got.published_price, got.hold, got.is_automated) == (Decimal(60), None, False)
    assert (shelf.decide().published_price, shelf.last.waits) == (Decimal(60), None)


@pytest.mark.parametrize(("cost", "offer", "price"), [("150", "90", "157.50"), ("60", "50", "100.00")])
def test_only_a_rise_to_the_floor_is_never_held(cost: str, offer: str, price: str) -> None:
    """A fall that ends at the floor is as far as any other one."""
    shelf = Shelf(rules=careful())
    shelf.signals["competitor", "acme"] = competitor(offer)
    shelf.product = replace(shelf.product, cost=Decimal(cost))
    shelf.decide()
    assert shelf.price == price
    assert (shelf.last.hold is None) == (cost == "150")


def test_the_way_back_to_the_list_price_is_never_held() -> None:
    """The lowest competitor leaves: a person wrote the list price."""
    shelf = Shelf(rules=careful(hold_above=None))
    shelf.take(competitor("60"))
    shelf.policy = careful()
    assert shelf.take(competitor("60", in_stock=False)).published_price == 100


def test_a_hold_never_keeps_a_price_below_the_floor() -> None:
    shelf = Shelf(rules=careful())
    shelf.product = replace(shelf.product, cost=Decimal(104))
    got = shelf.take(demand("1.4"), competitor("118"))
    assert (got.target, got.published_price, got.hold is not None) == (Decimal("147.5"), Decimal("109.20"), True)


def test_a_price_below_cost_waits_where_the_policy_says_so_and_reads_keep_the_cost() -> None:
    shelf = Shelf(product(cost=Decimal(80), min_price=Decimal(50)), careful(below_cost="hold", hold_above=None))
    got = shelf.take(competitor("75"))
    assert (got.published_price, got.target, got.floor) == (Decimal(100), Decimal(75), Decimal(84))
    assert got.hold is not None
    assert got.hold.code == "below_cost"
    assert shelf.take(competitor("40")).target == 50  # min_price bounds targets all the same
    got = shelf.take(competitor("90"))
    assert (got.published_price, got.hold) == (Decimal(90), None)


def test_an_approved_price_below_cost_stays_until_the_market_is_above_the_cost() -> None:
    shelf = Shelf(product(cost=Decimal(80)), careful(below_cost="hold"))
    held = shelf.take(competitor("75")).hold
    assert held is not None
    got = shelf.decide(chosen=held.target)
    assert (got.published_price, got.floor, got.approved) == (Decimal(75), Decimal(75), Decimal(75))
    assert shelf.after(HOUR).decide().published_price == 75
    assert shelf.take(competitor("80")).published_price == 80
    got = shelf.take(competitor("72"))
    assert (got.published_price, got.hold is not None) == (Decimal(80), True)
    assert shelf.take(competitor("95")).approved is None
    assert shelf.take(competitor("75")).floor == 84


@pytest.mark.parametrize(
    ("pauses", "due"),
    [
        ([Pause(reason="stocktaking", until=NOON + 2 * HOUR)], 2),
        ([Pause(reason="stocktaking", until=NOON + 2 * HOUR), Pause(reason="sale", until=NOON + 5 * HOUR)], 5),
        ([Pause(reason="stocktaking", until=NOON + 2 * HOUR), Pause(reason="until I say so")], None),
    ],
)
def test_a_pause_keeps_the_price_until_it_ends(pauses: list[Pause], due: int | None) -> None:
    """C6: automation resumes afterwards."""
    results = []
    for order in (pauses, pauses[::-1]):
        shelf = Shelf(rules=careful())
        shelf.state = replace(shelf.state, pauses=tuple(order))
        offer = competitor("90")
        shelf.signals["competitor", "acme"] = offer
        got = shelf.decide()
        results.append(got)
        assert (got.published_price, got.target, got.waits, shelf.codes) == (
            Decimal(100),
            Decimal(90),
            "paused",
            ["no_signal", "paused"],
        )
        assert got.next_due == (None if due is None else NOON + due * HOUR)
        shelf.follow(6 * HOUR)
        assert shelf.price == ("100.00" if due is None else "90.00")
    assert results[0] == results[1]


@pytest.mark.parametrize(("pauses", "price"), [(False, "90.00"), (True, "100.00")])
def test_an_open_promotion_pauses_automation_where_the_policy_says_so(pauses: bool, price: str) -> None:
    shelf = Shelf(rules=careful(pause_in_promotion=pauses))
    sale = Pause(reason="promotion black-friday", until=NOON + HOUR, in_promotion=True)
    shelf.state = replace(shelf.state, pauses=(sale,))
    shelf.take(competitor("90"))
    assert shelf.price == price


@pytest.mark.parametrize(
    ("automation", "price"), [("observe", "100.00"), ({"general": "observe"}, "100.00"), ({"toys": "observe"}, "90.00")]
)
def test_a_policy_that_observes_decides_and_publishes_nothing(automation: Any, price: str) -> None:
    shelf = Shelf(rules=careful(automation=automation))
    got = shelf.take(competitor("90"))
    assert (shelf.price, got.target) == (price, Decimal(90))
    assert (got.waits == "observe") == (price == "100.00")
    assert shelf.write(base_price=Decimal(70)).published_price == 84  # highest: 1.2 × list price


def test_while_the_breaker_is_open_everything_is_held() -> None:
    shelf = Shelf(rules=careful())
    shelf.state = replace(shelf.state, is_stopped=True)
    got = shelf.take(competitor("99"))
    assert got.hold is not None
    assert (got.published_price, got.hold.code) == (Decimal(100), "breaker")
    assert shelf.write(base_price=Decimal(80)).published_price == 96  # highest: 1.2 × list price
    shelf.state = replace(shelf.state, is_stopped=False)
    assert shelf.write(base_price=Decimal(100)).published_price == 99


def test_a_new_product_has_its_price_at_once() -> None:
    """Whatever pauses, stops or limits automation."""
    night = ChangeLimits(quiet_hours=QuietHours(from_="10:00", until="14:00"))
    shelf = Shelf(rules=careful(change_limits=night, automation="observe"))
    assert shelf.price == "100.00"


MANUAL = ManualPrice(price=Decimal(70), reason="opening week", until=NOON + 10 * HOUR)


def test_a_manual_price_pauses_automation_until_it_ends() -> None:
    """C6."""
    shelf = Shelf(rules=careful())
    shelf.state = replace(shelf.state, manual=MANUAL)
    got = shelf.decide(by_person=True)
    assert (got.published_price, got.steps[-1].reason, got.next_due) == (
        Decimal(70),
        "manual price: opening week",
        MANUAL.until,
    )
    assert shelf.take(competitor("90")).published_price == 70
    assert not shelf.last.is_automated
    shelf.follow(11 * HOUR)
    assert shelf.price == "90.00"


@pytest.mark.parametrize(("below", "price", "floor"), [(False, "84.00", 84), (True, "70.00", 70)])
def test_the_floor_follows_a_manual_price_where_it_says_so(below: bool, price: str, floor: int) -> None:
    shelf = Shelf(product(cost=Decimal(80)), careful())
    shelf.state = replace(shelf.state, manual=replace(MANUAL, below_floor=below))
    got = shelf.decide()
    assert (shelf.price, got.floor) == (price, Decimal(floor))


def test_the_ceiling_bounds_a_manual_price() -> None:
    shelf = Shelf(product(max_price=Decimal(60)), careful())
    shelf.state = replace(shelf.state, manual=MANUAL)
    assert shelf.decide().published_price == 60


def test_a_renamed_product_releases_nothing() -> None:
    rules = careful(change_limits=ChangeLimits(max_step_down=Decimal("0.1"), min_minutes=30))
    shelf = Shelf(rules=rules)
    shelf.take(competitor("75"))
    shelf.after(MINUTE).write(name="Kettle II")
    assert (shelf.price, shelf.last.waits, shelf.last.is_automated) == ("90.00", "min_minutes", True)
    shelf.write(min_price=Decimal(20), tiers=())
    assert (shelf.price, shelf.last.is_automated) == ("90.00", True)
    shelf.write(cost=Decimal(80))
    assert (shelf.price, shelf.last.is_automated) == ("84.00", False)


def test_a_rename_after_a_signal_has_expired_releases_nothing() -> None:
    """The target is another one, but not because of the person."""
    shelf = Shelf(rules=careful(change_limits=ChangeLimits(max_step_up=Decimal("0.05"))))
    shelf.take(replace(competitor("80"), expires_at=NOON + HOUR))
    shelf.after(timedelta(hours=2)).write(name="Kettle II")
    assert (shelf.price, shelf.last.target, shelf.last.waits) == ("84.00", Decimal(100), "max_step")
