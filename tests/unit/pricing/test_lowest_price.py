"""The lowest price before a reduction. The facts keep their ids: S20 to S28, X1, X4, X6, X9."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.pricing.lowest_price import (
    Low,
    LowestPrice,
    Mode,
    PublicPrice,
    Reduction,
    ShownLow,
    lowest_price,
    share_off,
    shown,
)
from tests.support.pricing_examples import NOON, PROPERTY

DAY = timedelta(days=1)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rows(*written: str) -> list[PublicPrice]:
    """`2023-03-14 21/42`: reduced from 42; without a day each row comes a day after the one before it."""
    found: list[PublicPrice] = []
    for number, text in enumerate(written):
        when, _, prices = text.rpartition(" ")
        price, _, reference = prices.partition("/")
        at = day(when) if when else NOON + number * DAY
        before = None if not reference else Decimal(reference)
        found.append(PublicPrice(at=at, price=Decimal(price), reference=before))
    return found


def low(history: list[PublicPrice], mode: Mode = "rolling", at: datetime | None = None, **more: bool) -> Decimal | None:
    found = lowest_price(history, at or history[-1].at + DAY, mode=mode, **more)
    return None if found is None else found.price


S23 = ("2023-03-14 42", "2023-03-14 21/42", "2023-04-15 33/42")
S24 = ("2022-12-01 42", "2022-12-01 21/42", "2023-01-01 39/42", "2023-02-15 33/42")
S25 = ("2022-12-01 42", "2022-12-01 21/42", "2023-01-01 42", "2023-02-15 33/42")
S28 = ("37", "21/37", "37", "10", "21", "20/21")


@pytest.mark.parametrize("mode", ["rolling", "before_reduction"])
@pytest.mark.parametrize(
    ("fact", "history", "expected"),
    [
        ("S20", ("21",), None),
        ("S21", ("37", "21/37"), "37"),
        ("S22", ("37", "21/37", "30/37"), "21"),
        ("S23", S23, "21"),
        ("S24", S24, "39"),
        ("S25", S25, "42"),
        ("S27", ("37", "21/37", "37"), None),
        ("S28", S28, "10"),
    ],
)
def test_the_facts_of_a_directive_on_price_indication(
    fact: str, history: tuple[str, ...], expected: str | None, mode: Mode
) -> None:
    assert low(rows(*history), mode) == (None if expected is None else Decimal(expected)), fact


@pytest.mark.parametrize(("history", "expected"), [(("37", "21/37", "30/37"), "37"), (S24, "42"), (S23, "42")])
def test_progressive_reductions_keep_the_window_of_the_first_step(history: tuple[str, ...], expected: str) -> None:
    """S22, the other reading."""
    assert low(rows(*history), "before_reduction", progressive=True) == Decimal(expected)


def reduced(at: str, price: str, reference: str, name: str) -> PublicPrice:
    return PublicPrice(at=day(at), price=Decimal(price), reference=Decimal(reference), reduction=name)


X1 = [*rows("2026-05-01 100"), reduced("2026-06-01", "80", "100", "summer")]


def test_the_own_reduction_is_excluded() -> None:
    """X1: today is 06-10."""
    assert lowest_price(X1, day("2026-06-10")) == LowestPrice(
        price=Decimal(100),
        before=day("2026-06-01"),
        covers_from=day("2026-05-02"),
        insufficient_history=False,
    )
    assert lowest_price(X1, day("2026-05-31")) is None


def test_the_window_stays_while_the_reduction_lasts() -> None:
    """X4: a promotion since 05-01 is seen on 06-15; automation lowers the price meanwhile."""
    history = [*rows("2026-03-20 90", "2026-04-10 100"), reduced("2026-05-01", "80", "100", "may")]
    history += [reduced("2026-05-20", "70", "90", "may"), reduced("2026-06-01", "72", "92", "may")]
    for at in ("2026-05-01", "2026-05-20", "2026-06-15", "2027-01-01"):
        found = lowest_price(history, day(at))
        assert found is not None
        assert (found.price, found.before, found.covers_from) == (Decimal(90), day("2026-05-01"), day("2026-04-01"))
    assert low(history, "rolling", day("2026-06-15")) == 70


def test_another_reduction_at_the_same_price_has_a_window_of_its_own() -> None:
    history = [*X1, reduced("2026-07-15", "80", "100", "july")]
    assert low(history, "before_reduction", day("2026-07-16")) == 80
    assert low(history, "before_reduction", day("2026-07-16"), progressive=True) == 100


def test_a_reduction_after_an_imported_one_is_another_one() -> None:
    history = [*rows("2026-05-01 100", "2026-06-01 80/100"), reduced("2026-06-10", "80", "100", "june")]
    assert low(history, "before_reduction", day("2026-06-11")) == 80


def test_a_history_that_begins_in_the_window_is_flagged() -> None:
    """X6."""
    history = [*rows("2026-06-02 95", "2026-06-05 90"), reduced("2026-06-10", "70", "90", "june")]
    found = lowest_price(history, day("2026-06-11"))
    assert found is not None
    assert (found.price, found.covers_from, found.insufficient_history) == (Decimal(90), day("2026-06-02"), True)


def test_a_reduction_without_any_earlier_price_has_no_lowest_price() -> None:
    found = lowest_price([reduced("2026-06-10", "70", "90", "june")], day("2026-06-11"))
    assert found is not None
    assert (found.price, found.covers_from, found.insufficient_history) == (None, None, True)


def test_a_row_that_comes_twice_is_one_row() -> None:
    """X9."""
    history = rows(*S23)
    assert lowest_price(history * 2, day("2023-04-16")) == lowest_price(history, day("2023-04-16"))


def test_the_days_of_a_market_are_the_length_of_the_window() -> None:
    history = rows("2026-01-01 50", "2026-02-01 60", "2026-03-01 40/60")
    prices = [lowest_price(history, NOON, days=days) for days in (28, 30, 60)]
    assert [one and one.price for one in prices] == [60, 50, 50]


@pytest.mark.parametrize(
    ("lowest", "price", "share"),
    [("100", "80", "0.2000"), ("30", "20", "0.3333"), ("80", "80", "0"), ("80", "90", "0")],
)
def test_the_share_off_is_never_shown_as_more_than_it_is(lowest: str, price: str, share: str) -> None:
    assert str(share_off(Decimal(lowest), Decimal(price))) == share


SUMMER = Reduction(market="DE", currency="EUR", name="summer")
LOW = Low(market="DE", currency="EUR", name="summer", price=Decimal(100), before=NOON, days=30)


def test_a_low_is_shown_beside_its_own_reduction_alone() -> None:
    found = shown([LOW], SUMMER, Decimal(80))
    assert found == ShownLow(amount=Decimal(100), share_off=Decimal("0.2"), days=30, before=NOON)
    for other in ({"market": "FR"}, {"currency": "USD"}, {"name": "summer, sale"}):
        assert shown([replace(LOW, **other)], SUMMER, Decimal(80)) is None
    unknown = shown([replace(LOW, price=None, insufficient_history=True)], SUMMER, Decimal(80))
    assert unknown == ShownLow(days=30, before=NOON, insufficient_history=True)


def test_a_rolling_low_is_shown_beside_the_price_of_its_last_change_alone() -> None:
    rolling = replace(LOW, current=Decimal(80))
    assert shown([rolling], SUMMER, Decimal("80.00")) is not None
    assert shown([rolling], SUMMER, Decimal(79)) is None


histories = st.lists(
    st.tuples(st.integers(0, 24 * 90), st.integers(1, 60), st.booleans(), st.sampled_from([None, "a", "b"])),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[0],
)


@PROPERTY
@given(histories, st.integers(0, 24 * 90), st.integers(1, 40), st.sampled_from(["rolling", "before_reduction"]))
def test_it_is_the_lowest_of_all_hours_of_the_window(
    history: list[tuple[int, int, bool, str | None]], hour: int, days: int, mode: Mode
) -> None:
    """Computed again hour by hour."""
    written = [
        PublicPrice(
            at=NOON + timedelta(hours=at),
            price=Decimal(price),
            reference=Decimal(99) if is_reduced else None,
            reduction=name if is_reduced else None,
        )
        for at, price, is_reduced, name in history
    ]
    dice = random.Random(hour)
    dice.shuffle(written)
    got = lowest_price(written, NOON + timedelta(hours=hour), days=days, mode=mode)
    steps = sorted(history)
    in_force: dict[int, tuple[int, bool, str | None]] = {}
    for at in range(steps[0][0], 24 * 90 + 1):
        in_force[at] = max(row for row in steps if row[0] <= at)[1:]
    now = in_force.get(hour)
    if now is None or not now[1]:
        assert got is None
        return
    begin = hour
    while (earlier := in_force.get(begin - 1)) is not None:
        same_price, same_name = earlier[0] == now[0], earlier[1] and earlier[2] == now[2]
        if mode == "rolling" and not same_price:
            break
        if mode == "before_reduction" and not (same_name and (now[2] is not None or same_price)):
            break
        begin -= 1
    window = [in_force[at][0] for at in range(begin - 24 * days, begin) if at in in_force]
    assert got is not None
    assert got.before == NOON + timedelta(hours=begin)
    assert got.price == (Decimal(min(window)) if window else None)
    assert got.insufficient_history == (begin - 24 * days not in in_force)
