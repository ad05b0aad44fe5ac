"""What the console shows: amounts, changes, time spans, bars and steps."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.console import charts, shown
from shared.prices.history import PriceChange
from shared.pricing.explanation import Step

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [("1234.5", "USD", "1,234.50"), ("47.4049", "USD", "47.40"), ("8222.3", "JPY", "8,222"), ("1.5", "KWD", "1.500")],
)
def test_an_amount_has_the_decimals_of_its_currency(amount: str, currency: str, text: str) -> None:
    assert shown.money(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [("100", "95", "−5.0 %"), ("100", "112.34", "+12.3 %"), ("100", "99.99", "0.0 %"), ("0", "5", "")],
)
def test_a_change_is_a_percentage_with_its_sign(before: str, after: str, text: str) -> None:
    assert shown.change(Decimal(before), Decimal(after)) == text


@pytest.mark.parametrize(
    ("share", "text"), [("0.048", "+4.8 %"), ("-0.04", "−4.0 %"), ("0.0001", "0.0 %"), ("-0.0001", "0.0 %")]
)
def test_a_share_is_a_percentage_with_its_sign(share: str, text: str) -> None:
    assert shown.share(share) == text


def test_classes_of_a_histogram_have_the_sign_of_other_changes() -> None:
    classes: list[dict[str, Any]] = [
        {"from": "-0.05", "to": "-0.02", "products": 3},
        {"from": "0.2", "to": None, "products": 1},
    ]
    assert [column.label for column in charts.histogram(classes)] == ["−5 % to −2 %", "above 20 %"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2, "just now"), (42, "42 s ago"), (-200, "in 3 min"), (7_300, "2 h ago"), (9_000_000, "2026-08-15")],
)
def test_a_time_is_told_beside_now(seconds: int, text: str) -> None:
    assert shown.ago(NOW - timedelta(seconds=seconds), NOW) == text


def step(before: str, after: str) -> Step:
    return Step(rule="r", before=Decimal(before), after=Decimal(after), reason="why")


def test_bars_of_a_waterfall_lie_within_their_row_and_say_their_direction() -> None:
    bars = charts.waterfall([step("42", "42"), step("42.00", "39.06"), step("39.06", "40.1")])
    assert [bar.kind for bar in bars] == ["same", "down", "up"]
    assert all(bar.left >= 0 and bar.left + bar.width <= 100.7 for bar in bars)
    assert {len(bar.before) for bar in bars} == {5}


def test_an_explanation_without_steps_has_no_bars() -> None:
    assert charts.waterfall([]) == []


def change(version: int, old: str | None, new: str | None, days_ago: int) -> PriceChange:
    return PriceChange(
        version=version,
        old_price=None if old is None else Decimal(old),
        new_price=None if new is None else Decimal(new),
        currency="USD",
        cause="event",
        cause_id="e-1",
        policy_version=1,
        rulebook_version=1,
        trace_id="0" * 32,
        at=NOW - timedelta(days=days_ago),
    )


def test_a_step_chart_begins_with_the_price_before_the_first_change_and_ends_with_the_price_now() -> None:
    changes = [change(3, "12", "10", 5), change(2, "10", "12", 10)]
    chart = charts.steps(changes, Decimal(10), NOW - timedelta(days=20), NOW)
    assert [(dot.x, dot.change.version) for dot in chart.dots] == [(50.0, 2), (75.0, 3)]
    assert chart.path.startswith("M0.0 ")
    assert chart.path.endswith("H1000")
    assert chart.path.count("V") == 2


def test_a_product_is_drawn_from_its_first_price_on() -> None:
    chart = charts.steps([change(1, None, "10", 5)], Decimal(10), NOW - timedelta(days=20), NOW)
    assert chart.path.startswith("M750.0 ")


def test_a_price_that_never_changed_is_a_line_in_the_middle() -> None:
    chart = charts.steps([], Decimal(10), NOW - timedelta(days=20), NOW)
    assert chart.path == "M0.0 500.0H1000"
