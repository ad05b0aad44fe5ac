"""The policy's fields for decisions: documents of before, defaults, contradictions, and quiet hours."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.pricing.change_limits import ChangeLimits, QuietHours, quiet_until
from shared.pricing.policy import DEFAULT_POLICY, Breaker, Policy
from shared.pricing.rulebook import RulebookPolicy
from shared.pricing.rulebook_check import RulebookRefused, read

# As policies were written before competitors, stock, limits, holds and the breaker had fields of their own.
BEFORE = """{
  "membership_rate": "0.05", "rounding": "HALF_UP", "max_step": "0.20", "max_over_list": "1.5", "min_margin": "0.05",
  "strategies": {
    "list_price": {"competitor": null, "demand": null},
    "undercut": {"competitor": {"undercut": "0.01", "lowest": "0.5", "highest": "1.2"}, "demand": null},
    "dynamic": {"competitor": {"undercut": "0", "lowest": "0.5", "highest": "1.2"},
                "demand": {"lowest": "0.8", "highest": "1.25"}}},
  "categories": {"grocery": "undercut"}, "default_strategy": "list_price"}"""


@pytest.mark.parametrize("kind", [Policy, RulebookPolicy])
def test_a_document_of_before_is_valid_and_has_the_shipped_safeguards(kind: type[Policy]) -> None:
    got = msgspec.json.decode(BEFORE, type=kind)
    rule = got.strategies["undercut"].competitor
    assert rule is not None
    assert (rule.pick, rule.max_age_h, rule.within, rule.when_alone) == ("lowest", 168, rule.within, "list")
    assert rule.within is not None
    assert (rule.within.lowest, rule.within.highest) == (Decimal("0.3"), Decimal(3))
    assert (got.hold_above, got.hold_expires_h, got.change_limits.max_day_down) == (Decimal("0.5"), 72, Decimal("0.5"))
    assert got.breaker == Breaker(share=Decimal("0.02"), min_products=50, change=Decimal("0.3"), window_s=3600)
    assert (got.below_cost, got.automation, got.pause_in_promotion) == ("clamp", "on", False)


def test_a_document_with_every_field_survives_its_encoding() -> None:
    rule = {"pick": "nth", "n": 2, "only": ["acme", "bolt"], "own": ["us"], "max_age_h": None, "within": None}
    rule |= {"with_shipping": True, "position": {"amount": "0.05"}, "when_alone": "keep", "direction": "down"}
    document = msgspec.to_builtins(DEFAULT_POLICY) | {
        "max_step": None,
        "strategies": {
            "all": {
                "competitor": {**rule, "lowest": "0.5", "highest": "1.2"},
                "demand": {"lowest": "0.8", "highest": "1.2"},
                "stock": {"points": [{"stock": 0, "multiplier": "1.2"}, {"stock": 50, "multiplier": "1"}]},
                "cost_plus": {"markup": "0.3"},
            }
        },
        "categories": {"home": "all"},
        "default_strategy": "all",
        "change_limits": {
            "max_step_up": "0.1",
            "max_step_down": "0.3",
            "min_minutes": 30,
            "changes_a_day": 4,
            "quiet_hours": {"from": "22:00", "until": "06:00"},
            "zone": "Europe/Berlin",
        },
        "below_cost": "hold",
        "hold_above": None,
        "automation": {"home": "observe"},
        "pause_in_promotion": True,
    }
    policy = msgspec.convert(document, Policy)
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


RULE = {"lowest": "0.5", "highest": "1.2"}
POINTS = [{"stock": 10, "multiplier": "1.1"}, {"stock": 10, "multiplier": "1"}]
LIMITS = "policy.change_limits"
COMPETITOR = "policy.strategies.all.competitor"


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"competitor": {**RULE, "undercut": "0.01", "position": {"percent": "2"}}}, f"{COMPETITOR}.undercut"),
        ({"competitor": {**RULE, "pick": "nth"}}, f"{COMPETITOR}.n"),
        ({"competitor": {**RULE, "n": 2}}, f"{COMPETITOR}.n"),
        ({"competitor": {**RULE, "only": ["Acme", "bolt"], "except": ["acme"]}}, f"{COMPETITOR}.except"),
        ({"competitor": {**RULE, "only": ["acme"], "own": ["ACME"]}}, f"{COMPETITOR}.own"),
        ({"competitor": {**RULE, "within": {"lowest": "4"}}}, f"{COMPETITOR}.within.lowest"),
        ({"competitor": {**RULE, "highest": "1", "direction": "up"}}, f"{COMPETITOR}.direction"),
        ({"competitor": {**RULE, "lowest": "1.1", "direction": "down"}}, f"{COMPETITOR}.direction"),
        ({"competitor": {**RULE, "position": {"percent": "101"}}}, f"{COMPETITOR}.position.percent"),
        ({"competitor": {**RULE, "position": {"percent": "1", "amount": "1"}}}, f"{COMPETITOR}.position.percent"),
        ({"competitor": {**RULE, "max_age_h": 0}}, f"{COMPETITOR}.max_age_h"),
        ({"stock": {"points": POINTS}}, "policy.strategies.all.stock.points[1].stock"),
        ({"cost_plus": {"markup": "-0.1"}}, "policy.strategies.all.cost_plus.markup"),
    ],
)
def test_a_strategy_that_contradicts_itself_is_refused_with_its_path(part: dict[str, Any], path: str) -> None:
    assert refused({"max_step": None, "strategies": {"all": part}, "default_strategy": "all", "categories": {}}) == path


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"change_limits": {"max_step_up": "0.1"}}, "policy.max_step"),
        ({"change_limits": {"max_day_down": "1.1"}}, f"{LIMITS}.max_day_down"),
        ({"change_limits": {"zone": "Berlin"}}, f"{LIMITS}.zone"),
        ({"change_limits": {"quiet_hours": {"from": "22:00", "until": "22:00"}}}, f"{LIMITS}.quiet_hours.until"),
        ({"change_limits": {"quiet_hours": {"from": "24:00", "until": "06:00"}}}, f"{LIMITS}.quiet_hours.from"),
        ({"change_limits": {"changes_a_day": 0}}, f"{LIMITS}.changes_a_day"),
        ({"hold_above": "-0.1"}, "policy.hold_above"),
        ({"hold_expires_h": 0}, "policy.hold_expires_h"),
        ({"below_cost": "ignore"}, "policy.below_cost"),
        ({"breaker": {"share": "1.5"}}, "policy.breaker.share"),
        ({"breaker": {"window_s": 90_000}}, "policy.breaker.window_s"),
        ({"automation": "off"}, "policy.automation"),
        ({"automation": {"home": "off"}}, "policy.automation.home"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused_with_its_path(fields: dict[str, Any], path: str) -> None:
    assert refused(fields) == path


def refused(fields: dict[str, Any]) -> str:
    with pytest.raises(RulebookRefused) as caught:
        read({"policy": msgspec.to_builtins(DEFAULT_POLICY) | fields})
    return caught.value.path


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc] # year, month, day, hour, minute


def night(begin: str, end: str, zone: str = "Europe/Berlin") -> ChangeLimits:
    return ChangeLimits(quiet_hours=QuietHours(from_=begin, until=end), zone=zone)


@pytest.mark.parametrize(
    ("limits", "at", "end"),
    [
        (night("22:00", "06:00"), utc(2026, 11, 26, 20, 59), None),
        (night("22:00", "06:00"), utc(2026, 11, 26, 21, 0), utc(2026, 11, 27, 5, 0)),
        (night("22:00", "06:00"), utc(2026, 11, 27, 4, 59), utc(2026, 11, 27, 5, 0)),
        (night("22:00", "06:00"), utc(2026, 11, 27, 5, 0), None),
        (night("09:00", "12:00", "Asia/Tokyo"), utc(2026, 11, 27, 1, 0), utc(2026, 11, 27, 3, 0)),
        (night("23:00", "22:30", "America/New_York"), utc(2026, 11, 27, 3, 0), utc(2026, 11, 27, 3, 30)),
        (night("00:30", "05:00", "Asia/Tokyo"), utc(2026, 11, 26, 16, 0), utc(2026, 11, 26, 20, 0)),
        # 2026-03-29, 02:00 → 03:00: the night is an hour shorter, and a skipped time is the end of the gap.
        (night("22:00", "06:00"), utc(2026, 3, 28, 22, 0), utc(2026, 3, 29, 4, 0)),
        (night("22:00", "02:30"), utc(2026, 3, 29, 0, 30), utc(2026, 3, 29, 1, 0)),
        (night("02:30", "05:00"), utc(2026, 3, 29, 0, 59), None),
        (night("02:30", "05:00"), utc(2026, 3, 29, 1, 0), utc(2026, 3, 29, 3, 0)),
        # 2026-10-25, 03:00 → 02:00: the night has both hours.
        (night("22:00", "02:30"), utc(2026, 10, 25, 1, 15), utc(2026, 10, 25, 1, 30)),
        (night("02:30", "05:00"), utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 4, 0)),
    ],
)
def test_quiet_hours_follow_the_zones_clock_also_where_it_changes(
    limits: ChangeLimits, at: datetime, end: datetime | None
) -> None:
    assert quiet_until(limits, at) == end


def test_without_quiet_hours_there_are_none() -> None:
    assert quiet_until(ChangeLimits(), utc(2026, 3, 1, 3, 0)) is None
