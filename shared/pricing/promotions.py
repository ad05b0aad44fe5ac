"""Promotions: what comes off a price, in which order, and which one excludes the others."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Literal

from msgspec import Struct

from shared.pricing.money import plain
from shared.pricing.ratio import ONE, ZERO, Ratio, multiply, subtract
from shared.pricing.rule_pool import Rule
from shared.pricing.rulebook import Promotion

# By descending priority, then by id.
_ORDER = attrgetter("order")

Convert = Callable[[Ratio, str], Ratio | None]
Unconverted = Literal["no_rate", "other_currency"]


class Applied(Struct, frozen=True, gc=False):
    """A promotion and the price after it."""

    promotion: Promotion
    price: Ratio


class Passed(Struct, frozen=True, gc=False):
    """A promotion that fitted and was not applied, with the code of the reason."""

    promotion: Promotion
    code: Literal["exclusive_other", "lower_priority", "no_effect", "no_rate", "other_currency"]


class Outcome(Struct, frozen=True, gc=False):
    """The promotions applied, in order; those that were not; and whether an exclusive one applied alone."""

    applied: list[Applied]
    passed: list[Passed]
    exclusive: bool


NO_PROMOTION = Outcome([], [], False)


class Together(Struct, frozen=True, gc=False):
    """The ids of promotions that all apply, in order, and the factor of any price above 0."""

    ids: tuple[str, ...]
    factor: Decimal


def together(fitting: Iterable[Rule[Promotion]], stacking: Literal["all", "best"]) -> Together | None:
    """What promotions that fit take off together; None: it depends on the price, or on one another."""
    ordered = sorted(fitting, key=_ORDER)
    factor = ONE
    for rule in ordered:
        if rule.factor is None or not ZERO < rule.factor < ONE or rule.part.of != "price" or rule.part.exclusive:
            return None
        factor = multiply(factor, rule.factor)
    return (
        None if stacking == "best" and len(ordered) > 1 else Together(tuple(rule.part.id for rule in ordered), factor)
    )


class Discounting(Struct, frozen=True, gc=False):
    """Takes promotions off prices.

    Attributes:
        reference: The reference price, for promotions `of` it.
        stacking: The policy's: all by priority, or the best one alone. An exclusive one always applies alone.
        convert: An amount in a currency, as one in the price's; None: it cannot be converted.
        unconverted: The code of the reason.
    """

    reference: Ratio
    stacking: Literal["all", "best"]
    convert: Convert
    unconverted: Unconverted = "no_rate"

    def apply(self, fitting: Sequence[Rule[Promotion]], price: Ratio) -> Outcome:
        """Take the promotions that fit, in any order, off the price of one unit; it never gets below 0."""
        ordered = sorted(fitting, key=_ORDER)
        for exclusive in ordered:
            if exclusive.part.exclusive:
                outcome = self._one_by_one([exclusive], price)
                others = [Passed(rule.part, "exclusive_other") for rule in ordered if rule is not exclusive]
                return Outcome(outcome.applied, outcome.passed + others, True)
        if self.stacking == "best" and len(ordered) > 1:
            return self._best(ordered, price)
        return self._one_by_one(ordered, price)

    def _best(self, ordered: Sequence[Rule[Promotion]], price: Ratio) -> Outcome:
        alone = [(rule.part, self._after(rule, price)) for rule in ordered]
        best: Applied | None = None
        for one, after in alone:
            if after is not None and after.below(price if best is None else best.price):
                best = Applied(one, after)
        passed = [
            Passed(one, self.unconverted if after is None else "lower_priority" if after.below(price) else "no_effect")
            for one, after in alone
            if best is None or one is not best.promotion
        ]
        return Outcome([best] if best else [], passed, False)

    def _one_by_one(self, ordered: Sequence[Rule[Promotion]], price: Ratio) -> Outcome:
        applied, passed = [], []
        for rule in ordered:
            after = self._after(rule, price)
            if after is None:
                passed.append(Passed(rule.part, self.unconverted))
            elif after.below(price):
                price = after
                applied.append(Applied(rule.part, price))
            else:
                passed.append(Passed(rule.part, "no_effect"))
        return Outcome(applied, passed, False)

    def _after(self, rule: Rule[Promotion], price: Ratio) -> Ratio | None:
        """The price after the promotion; None where its currency cannot be converted."""
        promotion = rule.part
        if rule.share is not None and rule.factor is not None:
            if promotion.of == "price":
                return price.times(rule.factor)
            return less(price, self.reference.times(rule.share))
        amount = self.convert(Ratio(promotion.amount or ZERO), promotion.currency or "")
        return None if amount is None else less(price, amount)


def reason(promotion: Promotion) -> str:
    """What the promotion takes off, in words."""
    off = f"{plain(promotion.percent)} %" if promotion.percent is not None else ""
    if promotion.amount is not None:
        off = f"{plain(promotion.amount)} {promotion.currency}"
    of = " of the reference price" if promotion.of == "reference" else ""
    return f"{promotion.id}: {off} off{of}"


def less(price: Ratio, off: Ratio) -> Ratio:
    """The price less the amount, at least 0; a negative amount is added."""
    if price.den is off.den or price.den == off.den:
        num, den = subtract(price.num, off.num), price.den
    else:
        num = subtract(multiply(price.num, off.den), multiply(off.num, price.den))
        den = multiply(price.den, off.den)
    return Ratio(num, den) if num > 0 else Ratio(ZERO)
