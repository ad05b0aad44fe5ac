"""The explanation of a quote: every step from the list price to the final price, and every rejection."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from shared.pricing import promotions
from shared.pricing.entries import PriceEntry
from shared.pricing.explanation import Code, Rejection, Step
from shared.pricing.money import Rounding, percent, plain, shown
from shared.pricing.price_lists import Candidate, Missing, Situation
from shared.pricing.product import Tier
from shared.pricing.promotions import Outcome
from shared.pricing.ratio import Ratio, approximate, multiply
from shared.pricing.rule_pool import Rule
from shared.pricing.rulebook import PriceList, Promotion
from shared.pricing.sheet import PriceSheet


class Trail:
    """Collects steps and rejections while a price is computed. Prices are those of one unit."""

    def __init__(self, sheet: PriceSheet, currency: str, rate: Decimal) -> None:
        """The trail of one unit of the sheet's product.

        Args:
            sheet: The product's.
            currency: The query's.
            rate: The share that members get off.
        """
        self.sheet = sheet
        self.rate = rate
        self.currency = currency
        self.last = shown(sheet.published_price, sheet.currency)
        self._steps: list[Step] = []
        self.rejected: list[Rejection] = []

    def step(self, rule: str, price: Ratio, reason: str, currency: str | None = None) -> None:
        """The price after a rule."""
        self._to(rule, shown(approximate(price), currency or self.currency), reason)

    def _to(self, rule: str, after: Decimal, reason: str) -> None:
        self._steps.append(Step(rule=rule, before=self.last, after=after, reason=reason))
        self.last = after

    def steps(self) -> tuple[Step, ...]:
        """Those of the background decision, then those of the quote."""
        return (*self.sheet.steps, *self._steps)

    def reject(self, rule: str, code: Code, reason: str) -> None:
        """A rule that was not used."""
        self.rejected.append(Rejection(rule=rule, code=code, reason=reason))

    def market(self, price: Decimal, code: str, multiplier: Decimal) -> None:
        """The published price in the market."""
        self.step("market", Ratio(price), f"market {code} × {plain(multiplier)}", self.sheet.currency)

    def tier(self, price: Ratio, tier: Tier) -> None:
        """The product's own tier."""
        quantities = "for any larger quantity" if tier.up_to is None else f"up to {tier.up_to}"
        prices = f"{shown(tier.unit_price, self.sheet.currency)} beside the list price {self.sheet.list_price}"
        self.step("tier", price, f"tier {quantities}: {prices}", self.sheet.currency)

    def exchange(self, price: Ratio, here: Situation) -> None:
        """The published price in the query's currency."""
        rate = here.convert(Ratio(Decimal(1)), self.sheet.currency) or Ratio(Decimal(1))
        factor = plain(shown(approximate(rate), "CLF"))
        self.step("exchange", price, f"{self.sheet.currency} to {self.currency} × {factor}")

    def losers(self, candidates: Iterable[Candidate], reference: Candidate | None, sale: Candidate | None) -> None:
        """The lists that another one of their kind precedes."""
        for one in candidates:
            first = reference if one.rule.part.kind == "override" else sale
            if first is not None and one is not first:
                self.reject(
                    "price_list", "lower_priority", f"list {one.rule.part.id}: {first.rule.part.id} precedes it"
                )

    def no_line(self, rule: Rule[PriceList], code: Missing) -> None:
        """A list that fits and has no price for the query."""
        words = {
            "other_currency": f"its currency is {rule.part.currency or self.sheet.currency}, not {self.currency}",
            "no_rate": f"no rate to {self.currency}",
            "no_price": "it has no price for this product and quantity",
        }
        self.reject("price_list", code, f"list {rule.part.id}: {words[code]}")

    def promotions(self, off: Outcome) -> None:
        """What promotions took off, and which ones took nothing."""
        for one in off.applied:
            self.step("promotion", one.price, promotions.reason(one.promotion))
        words = {
            "exclusive_other": "an exclusive promotion applies alone",
            "lower_priority": "another promotion takes more off",
            "no_effect": "it changes nothing",
            "no_rate": f"its amount has no rate to {self.currency}",
            "other_currency": f"its amount is not in {self.currency}",
        }
        for passed in off.passed:
            self.reject("promotion", passed.code, f"promotion {passed.promotion.id}: {words[passed.code]}")
        if off.exclusive and self.rate:
            self.reject("membership", "exclusive_other", "an exclusive promotion applies alone")

    def membership(self, price: Ratio, rate: Decimal) -> None:
        """The price for a member."""
        self.step("membership", price, f"member: {percent(rate)} off")

    def below_floor(self, floor: Decimal, list_id: str) -> None:
        """The floor is not kept."""
        if floor:
            self.reject("floor", "below_floor", f"list {list_id} is charged also below the floor")

    def rounding(self, final: Decimal, price: Ratio, rounding: Rounding) -> None:
        """The final price, where the rounding changed the exact one."""
        if multiply(final, price.den) != price.num:
            self._to("rounding", final, f"{rounding} in {self.currency}")


def rejections(here: Situation, trail: Trail, contract: Sequence[PriceEntry]) -> tuple[Rejection, ...]:
    """All rejections: the decision's, those on the way, and the rules whose window or conditions did not fit."""
    found = [*here.sheet.rejected, *trail.rejected]
    lists = [rule for pool in here.bound.lists for rule in pool.rules] + list(here.bound.contract(contract))
    found += _closed("price_list", lists, here)
    found += _closed("promotion", [rule for pool in here.bound.promotions for rule in pool.rules], here)
    rate = trail.rate
    if rate and not here.query.is_prime_member:
        reason = f"not a member: {percent(rate)} not taken"
        found.append(Rejection(rule="membership", code="condition_unmet", reason=reason))
    return tuple(found)


def _closed(
    kind: str, rules: Iterable[Rule[PriceList]] | Iterable[Rule[Promotion]], here: Situation
) -> Iterable[Rejection]:
    for rule in rules:
        name = f"{kind.removeprefix('price_')} {rule.part.id}"
        state = rule.state(here.at)
        if state == "expired":
            yield Rejection(rule=kind, code="expired", reason=f"{name} has ended{_at(rule.closes)}")
        elif state == "not_started":
            yield Rejection(rule=kind, code="not_started", reason=f"{name} begins{_at(rule.opens)}")
        elif not rule.fits(here.query):
            yield Rejection(rule=kind, code="condition_unmet", reason=f"{name}: a condition does not hold")


def _at(instant: datetime | None) -> str:
    return "" if instant is None else f" at {instant.isoformat()}"
