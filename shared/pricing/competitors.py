"""The competitor rule: which offers count, which price is chosen, and the position beside it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from shared.pricing.draft import Draft
from shared.pricing.explanation import DecisionCode
from shared.pricing.market_rules import CompetitorRule, folded
from shared.pricing.money import percent, plain, shown
from shared.pricing.price_bounds import PriceBounds
from shared.pricing.signal import Signal

_ONE, _TWO, _HUNDRED = Decimal(1), Decimal(2), Decimal(100)
_UNIT = Decimal("0.0001")
_MOST_NAMED = 3
_names = lru_cache(maxsize=256)(folded)

Offer = tuple[Decimal, str]
"""The amount that is compared, and the competitor."""


def follow(
    draft: Draft,
    rule: CompetitorRule,
    signals: Iterable[Signal],
    bounds: PriceBounds,
    last: Decimal | None,
    at: datetime,
) -> bool:
    """Move the price to its position beside the chosen offer; `last` is the price in force.

    Only amounts decide. The names of competitors stand in the explanation, in alphabetical order.

    Returns:
        Whether further rules apply. They do not where the price in force is kept: they have moved it already.
    """
    offers = _usable(draft, rule, signals, at)
    if not offers:
        draft.reject("competitor", "no_signal", f"no competitor in stock with a price in {draft.currency}")
        return _alone(draft, rule, bounds, last)
    chosen, words = _chosen(offers, rule, draft.currency)
    wanted, beside = _position(chosen, rule, draft.currency)
    list_price = draft.list_price
    price = min(max(wanted, list_price * rule.lowest), list_price * rule.highest)
    if price != wanted:
        beside += f", held to {plain(rule.lowest)} – {plain(rule.highest)} × list price"
    if (rule.direction == "up" and price < list_price) or (rule.direction == "down" and price > list_price):
        price = list_price
        beside += f", only {rule.direction} from the list price"
    draft.move("competitor", price, words + beside)
    return True


def _usable(draft: Draft, rule: CompetitorRule, signals: Iterable[Signal], at: datetime) -> list[Offer]:
    """The offers that count, the lowest first; the others are named with their reasons."""
    offers: list[Offer] = []
    passed: list[tuple[str, DecisionCode]] = []
    age = None if rule.max_age_h is None else timedelta(hours=rule.max_age_h)
    within = rule.within if draft.list_price else None
    least = None if within is None else draft.list_price * within.lowest
    most = None if within is None else draft.list_price * within.highest
    for offer in signals:
        if offer.kind != "competitor":
            continue
        amount = offer.value
        if rule.with_shipping and offer.shipping is not None:
            amount += offer.shipping
        reason: tuple[str, DecisionCode] | None = None
        if rule.own or rule.only or rule.except_:
            reason = _excluded(offer.source, rule)
        if reason is not None:
            passed.append(reason)
        elif not offer.in_stock:
            passed.append((f"{offer.source} is out of stock", "out_of_stock"))
        elif offer.expires_at is not None and offer.expires_at <= at:
            passed.append((f"{offer.source}: price expired at {offer.expires_at.isoformat()}", "stale_signal"))
        elif age is not None and offer.at is not None and offer.at + age <= at:
            passed.append((f"{offer.source}: price of {offer.at.date()} is too old", "stale_signal"))
        elif offer.currency != draft.currency:
            passed.append((f"{offer.source} sells in {offer.currency}, not in {draft.currency}", "other_currency"))
        elif not offer.value:
            passed.append((f"{offer.source} asks 0, which is nobody's price", "outlier"))
        elif least is not None and most is not None and not least <= amount <= most:
            passed.append((f"{offer.source} asks {shown(amount, draft.currency)}, an outlier", "outlier"))
        else:
            offers.append((amount, offer.source))
            draft.due(offer.expires_at)
            if age is not None and offer.at is not None:
                draft.due(offer.at + age)
    for reason_text, code in sorted(passed) if len(passed) > 1 else passed:
        draft.reject("competitor", code, reason_text)
    offers.sort()
    return offers


def _excluded(source: str, rule: CompetitorRule) -> tuple[str, DecisionCode] | None:
    name = source.casefold()
    if name in _names(rule.own):
        return f"{source} is our own offer", "own_offer"
    if name in _names(rule.except_) or (rule.only and name not in _names(rule.only)):
        return f"{source} is not one of the policy's competitors", "excluded"
    return None


def _chosen(offers: list[Offer], rule: CompetitorRule, currency: str) -> tuple[Decimal, str]:
    """The price by `pick`. An average has four decimals, the others are exact."""
    count, pick = len(offers), rule.pick
    if pick == "average":
        price = (sum(offer[0] for offer in offers) / Decimal(count)).quantize(_UNIT, ROUND_HALF_UP)
        return price, f"average of {count} at {shown(price, currency)}"
    if pick == "median":
        price = (offers[(count - 1) // 2][0] + offers[count // 2][0]) / _TWO
        return price, f"median of {count} at {shown(price, currency)}"
    place = 0 if pick == "lowest" else count - 1 if pick == "highest" else min(rule.n or 1, count) - 1
    price = offers[place][0]
    words = pick if pick != "nth" else f"number {place + 1} of {count}:"
    return price, f"{words} competitor {_named(offers, price)} at {shown(price, currency)}"


def _named(offers: list[Offer], price: Decimal) -> str:
    names = sorted({source for amount, source in offers if amount == price})
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _position(price: Decimal, rule: CompetitorRule, currency: str) -> tuple[Decimal, str]:
    position = rule.position
    if position is None:
        if not rule.undercut:
            return price, ""
        return price * (_ONE - rule.undercut), f", {percent(rule.undercut)} less"
    word = "less" if position.side == "below" else "more"
    if position.percent is not None:
        distance, words = price * position.percent / _HUNDRED, f"{plain(position.percent)} %"
    else:
        distance = position.amount or Decimal(0)
        words = str(shown(distance, currency))
    return price - distance if position.side == "below" else price + distance, f", {words} {word}"


def _alone(draft: Draft, rule: CompetitorRule, bounds: PriceBounds, last: Decimal | None) -> bool:
    """The price without any offer; the list price where the chosen one is unknown."""
    to = rule.when_alone
    if to == "keep" and last is not None:
        draft.move("when_alone", last, "no competitor: the price in force is kept")
        return False
    if to == "ceiling" and bounds.ceiling is not None:
        draft.move("when_alone", bounds.ceiling, "no competitor: the ceiling")
    elif to == "floor" and bounds.floor:
        draft.move("when_alone", bounds.floor, "no competitor: the floor")
    return True
