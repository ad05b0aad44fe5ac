"""The limits of automation: pauses, holds, and how far a price moves towards its target now."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from shared.pricing.change_limits import ChangeLimits, quiet_until
from shared.pricing.draft import Draft
from shared.pricing.explanation import Code
from shared.pricing.money import ceil_to, floor_to, percent, round_to, shown
from shared.pricing.policy import Policy
from shared.pricing.price_bounds import PriceBounds
from shared.pricing.state import DAY, Hold, HoldCode, Pause, PriceState, is_over, price_at

Waits = Literal[
    "paused", "observe", "hold", "quiet_hours", "min_minutes", "changes_a_day", "max_step", "max_day", "hold_ended"
]

# The repricing queue decides a product at most once a second.
STEP_INTERVAL = timedelta(seconds=1)
_ONE = Decimal(1)


def limit(
    draft: Draft, category: str, policy: Policy, bounds: PriceBounds, state: PriceState, last: Decimal, at: datetime
) -> tuple[Waits | None, Hold | None]:
    """Bring the draft from its target to what automation may publish now; `last` is the price in force.

    Returns:
        Why the price is not its target (None: it is), and the hold that is open from now on.
    """
    if pause := _pause(policy, state, at):
        draft.due(pause.until)
        return _stay(draft, last, "paused", "paused", f"automation is paused: {pause.reason}"), None
    if _observes(policy, category):
        return _stay(draft, last, "observe", "observed", "the policy only observes"), None
    if (held := _hold(draft, policy, bounds, state, last, at)) is not None:
        if is_over(held.expires_at, at):
            reason = f"the hold of {_in_units(held.target, draft)} ended without an answer"
            return _stay(draft, last, "hold_ended", "held", reason), None
        draft.due(held.expires_at)
        return _stay(draft, last, "hold", "held", held.reason), held
    if blocked := _blocked(policy.change_limits, state, at):
        free, rule, reason = blocked
        draft.due(free)
        draft.move(rule, last, reason)
        return rule, None
    return _step(draft, policy, state, last, at), None


def _stay(draft: Draft, last: Decimal, rule: Waits, code: Code, reason: str) -> Waits:
    draft.reject(rule, code, reason)
    draft.move(rule, last, reason)
    return rule


def _pause(policy: Policy, state: PriceState, at: datetime) -> Pause | None:
    """The pause that ends last."""
    found: Pause | None = None
    for pause in state.pauses:
        if is_over(pause.until, at) or (pause.in_promotion and not policy.pause_in_promotion):
            continue
        if found is None or _ends(pause) > _ends(found):
            found = pause
    return found


def _ends(pause: Pause) -> tuple[bool, float, str]:
    return pause.until is None, 0 if pause.until is None else pause.until.timestamp(), pause.reason


def _observes(policy: Policy, category: str) -> bool:
    automation = policy.automation
    return (automation.get(category, "on") if isinstance(automation, dict) else automation) == "observe"


def _hold(
    draft: Draft, policy: Policy, bounds: PriceBounds, state: PriceState, last: Decimal, at: datetime
) -> Hold | None:
    """The hold of the target: a new one, the open one with the new target, or one that has ended unanswered.

    The breaker's hold is made anew at its end: it waits for a reset.
    """
    found = _reason_to_hold(draft, policy, bounds, state, last)
    if found is None:
        return None
    code, reason = found
    target = draft.price
    since, open_hold = at, state.hold
    if open_hold is not None:
        if not is_over(open_hold.expires_at, at):
            since = open_hold.since
        elif open_hold.target == target and open_hold.code == code != "breaker":
            return open_hold
    expires_at = since + timedelta(hours=policy.hold_expires_h)
    return Hold(target=target, code=code, reason=reason, since=since, expires_at=expires_at)


def _reason_to_hold(
    draft: Draft, policy: Policy, bounds: PriceBounds, state: PriceState, last: Decimal
) -> tuple[HoldCode, str] | None:
    target, most = draft.price, policy.hold_above
    if state.is_stopped:
        return "breaker", "automation is stopped by the breaker"
    if target < bounds.floor:
        return "below_cost", f"the target {_in_units(target, draft)} is below cost and margin"
    if most is None or not last or abs(target - last) <= most * last:
        return None
    # A rise that only reaches the floor is never held, nor is the way back to the list price, which a person wrote.
    if (target == bounds.floor and target > last) or target == draft.list_price:
        return None
    far = f"more than {percent(most)} from the price {_in_units(last, draft)}"
    return "hold_above", f"the target {_in_units(target, draft)} is {far}"


def _in_units(price: Decimal, draft: Draft) -> Decimal:
    """A price in the currency's decimals, or with up to those of the product."""
    return shown(round_to(price, draft.currency, decimals=draft.decimals), draft.currency)


def _blocked(limits: ChangeLimits, state: PriceState, at: datetime) -> tuple[datetime, Waits, str] | None:
    """The limit that allows no change now and ends last, with its end."""
    found: list[tuple[datetime, Waits, str]] = []
    if (end := quiet_until(limits, at)) is not None:
        found.append((end, "quiet_hours", f"quiet hours until {end.isoformat()}"))
    changes = state.past[1:]
    if limits.min_minutes is not None and changes:
        free = changes[-1].at + timedelta(minutes=limits.min_minutes)
        if free > at:
            found.append((free, "min_minutes", f"at least {limits.min_minutes} minutes between two changes"))
    if limits.changes_a_day is not None and len(changes) >= limits.changes_a_day:
        free = changes[-limits.changes_a_day].at + DAY
        if free > at:
            found.append((free, "changes_a_day", f"at most {limits.changes_a_day} changes in 24 hours"))
    return max(found) if found else None


def _step(draft: Draft, policy: Policy, state: PriceState, last: Decimal, at: datetime) -> Waits | None:
    """One step towards the target, never past it, and never away from it."""
    limits, rises = policy.change_limits, draft.price > last
    step = limits.max_step_up if rises else limits.max_step_down
    if step is None:
        step = policy.max_step
    day = limits.max_day_up if rises else limits.max_day_down
    found: tuple[Decimal, Waits, Decimal, Decimal] | None = None
    if step is not None and not last:
        draft.reject("max_step", "no_limit", "the last price was 0: the step has no limit")
    elif step is not None:
        furthest = last * (_ONE + step if rises else _ONE - step)
        if furthest < draft.price if rises else furthest > draft.price:
            found = furthest, "max_step", last, step
    if day is not None:
        day_ago = price_at(state.past, at - DAY)
        reference = state.past[0].price if day_ago is None else day_ago
        furthest = reference * (_ONE + day if rises else _ONE - day)
        nearest = draft.price if found is None else found[0]
        if reference and (furthest < nearest if rises else furthest > nearest):
            found = furthest, "max_day", reference, day
    if found is None:
        return None
    furthest, rule, before, share = found
    # Rounded outward: a step of one unit is always possible, and digits stay few.
    whole = ceil_to if rises else floor_to
    edge = whole(furthest, draft.currency, draft.decimals)
    price = min(max(edge, last), draft.price) if rises else max(min(edge, last), draft.price)
    if price == draft.price:
        return None
    words = "the last price" if rule == "max_step" else "the price of 24 hours ago,"
    draft.move(rule, price, f"at most {percent(share)} from {words} {shown(before, draft.currency)}")
    _next_step(draft, limits, state, rule, at, moved=price != last)
    return rule


def _next_step(
    draft: Draft, limits: ChangeLimits, state: PriceState, rule: Waits, at: datetime, *, moved: bool
) -> None:
    if rule == "max_day":
        # The price of 24 hours ago is another one when the oldest change of these 24 hours leaves them.
        changes = [entry.at for entry in state.past[1:] if entry.at > at - DAY]
        if changes or moved:
            draft.due((changes[0] if changes else at) + DAY)
    elif moved:
        draft.due(at + max(STEP_INTERVAL, timedelta(minutes=limits.min_minutes or 0)))
