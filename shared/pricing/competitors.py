"""The competitor rule: which offers count, which price is chosen, and the position beside it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from shared.pricing.draft import Draft
from shared.pricing.explanation import Code
from shared.pricing.market_rules import CompetitorRule, folded
from shared.pricing.money import percent, plain, shown
from shared.pricing.prepared import Prepared
from shared.pricing.price_bounds import PriceBounds
from shared.pricing.signal import Signal

_ONE, _TWO, _HUNDRED = Decimal(1), Decimal(2), Decimal(100)
_UNIT = Decimal("0.0001")
_MOST_NAMED = 3
_MOST_KNOWN = 1_000

Offer = tuple[Decimal, str]
"""The amount that is compared, and the competitor."""
Passed = tuple[str, Code]
"""The reason for which an offer does not count, and its code."""


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
    price, beside = _position(chosen, rule, draft.currency)
    list_price = draft.list_price
    least, most = list_price * rule.lowest, list_price * rule.highest
    if price < least or price > most:
        price = min(max(price, least), most)
        beside += f", held to {plain(rule.lowest)} – {plain(rule.highest)} × list price"
    if (rule.direction == "up" and price < list_price) or (rule.direction == "down" and price > list_price):
        price = list_price
        beside += f", only {rule.direction} from the list price"
    draft.move("competitor", price, words + beside)
    return True


def _usable(draft: Draft, rule: CompetitorRule, signals: Iterable[Signal], at: datetime) -> list[Offer]:
    """The offers that count, the lowest first; the others are named with their reasons."""
    offers: list[Offer] = []
    passed: list[Passed] = []
    oldest: datetime | None = None
    ready, currency, with_shipping = _ready.of(rule), draft.currency, rule.with_shipping
    outliers = ready.outliers(draft.list_price)
    stale = None if ready.max_age is None else at - ready.max_age
    for offer in signals:
        if offer.kind != "competitor":
            continue
        amount = offer.value
        if with_shipping and offer.shipping is not None:
            amount += offer.shipping
        reason = (ready.stranger(offer.source) if ready.is_named else None) or _fault(
            offer, amount, currency, outliers, stale, at
        )
        if reason is not None:
            passed.append(reason)
            continue
        offers.append((amount, offer.source))
        if offer.expires_at is not None:
            draft.due(offer.expires_at)
        if offer.at is not None and (oldest is None or offer.at < oldest):
            oldest = offer.at
    for text, code in sorted(passed) if len(passed) > 1 else passed:
        draft.reject("competitor", code, text)
    if oldest is not None and ready.max_age is not None:
        draft.due(oldest + ready.max_age)
    offers.sort()
    return offers


class _Ready:
    """A competitor rule with what its decisions share."""

    __slots__ = ("_strangers", "except_", "is_named", "max_age", "only", "own", "within", "words")

    def __init__(self, rule: CompetitorRule) -> None:
        self.own, self.except_, self.only = folded(rule.own), folded(rule.except_), folded(rule.only)
        self.is_named = bool(rule.own or rule.except_ or rule.only)
        self.max_age = None if rule.max_age_h is None else timedelta(hours=rule.max_age_h)
        self.within = rule.within
        self._strangers: dict[str, Passed | None] = {}
        position = rule.position
        self.words = "" if position is None or position.percent is None else f", {plain(position.percent)} % "

    def outliers(self, list_price: Decimal) -> tuple[Decimal, Decimal] | None:
        """The range of offers that count; None: every one does."""
        within = self.within
        return None if within is None or not list_price else (list_price * within.lowest, list_price * within.highest)

    def stranger(self, source: str) -> Passed | None:
        """Why the competitor does not count; None: it does. All products have the same few competitors."""
        try:
            return self._strangers[source]
        except KeyError:
            if len(self._strangers) >= _MOST_KNOWN:
                self._strangers.clear()
            self._strangers[source] = made = self._stranger(source)
            return made

    def _stranger(self, source: str) -> Passed | None:
        name = source.casefold()
        if name in self.own:
            return f"{source} is our own offer", "own_offer"
        if name in self.except_ or (self.only and name not in self.only):
            return f"{source} is not one of the policy's competitors", "excluded"
        return None


def _fault(
    offer: Signal,
    amount: Decimal,
    currency: str,
    outliers: tuple[Decimal, Decimal] | None,
    stale: datetime | None,
    at: datetime,
) -> Passed | None:
    """Why the offer does not count, whoever's it is; None: it does."""
    source = offer.source
    if not offer.in_stock:
        return f"{source} is out of stock", "out_of_stock"
    if offer.expires_at is not None and offer.expires_at <= at:
        return f"{source}: price expired at {offer.expires_at.isoformat()}", "stale_signal"
    if stale is not None and offer.at is not None and offer.at <= stale:
        return f"{source}: price of {offer.at.date()} is too old", "stale_signal"
    if offer.currency != currency:
        return f"{source} sells in {offer.currency}, not in {currency}", "other_currency"
    if not offer.value:
        return f"{source} asks 0, which is nobody's price", "outlier"
    if outliers is not None and not outliers[0] <= amount <= outliers[1]:
        return f"{source} asks {shown(amount, currency)}, an outlier", "outlier"
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
    return price, f"{words} competitor {_named(offers, price)} at {shown(price, currency)!s}"


def _named(offers: list[Offer], price: Decimal) -> str:
    named = [source for amount, source in offers if amount == price]
    if len(named) == 1:
        return named[0]
    names = sorted(set(named))
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
        distance, words = price * position.percent / _HUNDRED, _ready.of(rule).words
    else:
        distance = position.amount or Decimal(0)
        words = f", {shown(distance, currency)!s} "
    return price - distance if position.side == "below" else price + distance, words + word


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


_ready = Prepared(_Ready)
