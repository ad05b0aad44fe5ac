"""Price lists: the lines that lists offer for a query, and the choice between them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from shared.pricing.compiled import BoundSheet, Fitting, Terms
from shared.pricing.endings import multiple
from shared.pricing.entries import PriceEntry
from shared.pricing.exchange import earliest
from shared.pricing.local_terms import InMarket
from shared.pricing.product import Tier
from shared.pricing.promotions import less
from shared.pricing.query import PriceQuery, exact
from shared.pricing.ratio import ONE, ZERO, Ratio, add, multiply, subtract
from shared.pricing.rule_pool import Rule
from shared.pricing.rulebook import Adjustment, OfList, PriceList
from shared.pricing.tiers import Line, tiered

Missing = Literal["other_currency", "no_rate", "no_price"]

_HUNDREDTH = Decimal("0.01")
_SAME = Ratio(ONE)


class Candidate(Struct, frozen=True, gc=False):
    """A list that fits, with its line."""

    rule: Rule[PriceList]
    line: Line


class Situation:
    """One query at one instant: what every line of it is computed from.

    `price` is the published price in the market, before the product's tiers. `until` is the next instant at which a
    window or a value changes that was looked at.
    """

    __slots__ = (
        "at",
        "bound",
        "currency",
        "fitting",
        "local",
        "price",
        "quantity",
        "query",
        "rounding",
        "sheet",
        "tax",
        "terms",
        "until",
    )

    def __init__(
        self,
        terms: Terms,
        bound: BoundSheet,
        query: PriceQuery,
        at: datetime,
        in_market: InMarket,
        fitting: Fitting,
    ) -> None:
        self.terms = terms
        self.bound = bound
        self.sheet = bound.sheet
        self.query = query
        self.at = at
        self.price = in_market.price
        self.local = local = in_market.local
        self.currency = local.currency
        self.tax = local.tax
        self.quantity = Decimal(query.quantity) if type(query.quantity) is int else exact(query.quantity)
        self.rounding = terms.rules.policy.rounding
        self.fitting = fitting
        self.until = fitting.until if local.until is None else earliest(fitting.until, local.until)

    def convert(self, amount: Ratio, currency: str) -> Ratio | None:
        """The amount in the query's currency; None where the policy or a missing rate forbids it."""
        if currency == self.currency:
            return amount
        if currency == self.sheet.currency:
            factor = self.local.factor
            return None if factor is None else amount.by(factor)
        if not self.terms.rules.policy.convert:
            return None
        rate = self.terms.values.rate(currency, self.currency, self.at)
        if rate is None:
            return None
        self.until = earliest(self.until, rate.until)
        return amount.by(rate.factor)

    def in_tier(self, price: Decimal, multiplier: Decimal) -> tuple[Ratio, Tier | None]:
        """The published price in the market, after the product's own tier, in proportion to the list price."""
        tier = tier_of(self.sheet.tiers, self.query.quantity)
        return (Ratio(price) if tier is None else in_proportion(self.bound, tier, price, multiplier)), tier

    def missing(self) -> Missing:
        """Why an amount in another currency has no price here."""
        return "no_rate" if self.terms.rules.policy.convert else "other_currency"


def tier_of(tiers: tuple[Tier, ...], quantity: float) -> Tier | None:
    """The product's own tier whose range holds the whole quantity (`up_to` is inclusive); None: it has no tiers."""
    for tier in tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return tier
    return None


def in_proportion(bound: BoundSheet, tier: Tier, price: Decimal, multiplier: Decimal) -> Ratio:
    """A price in a tier, in proportion to the list price.

    A list price of 0 has no proportion: the tier's own price in the market applies.
    """
    if bound.sheet.list_price:
        return bound.proportion(tier).times(price)
    return Ratio(multiply(tier.unit_price, multiplier))


def line_of(rule: Rule[PriceList], here: Situation, published: Line | None) -> Line | Missing:
    """The line of a list in its own currency; the code of the reason where it has none."""
    header, entry = rule.part, rule.entry
    currency = header.currency or (here.sheet.currency if entry is not None else here.currency)
    if currency != here.currency:
        return "other_currency"
    if entry is not None:
        return rule.line or _entry_line(entry, here.quantity) or "no_price"
    if header.adjustment is None:
        return "no_price"
    return _adjusted(header, header.adjustment, here, published)


def choose_each(candidates: Iterable[Candidate]) -> tuple[Candidate | None, Candidate | None]:
    """The `override` list and the `sale` list that precede the others of their kind."""
    override: Candidate | None = None
    sale: Candidate | None = None
    for one in candidates:
        if one.rule.part.kind == "sale":
            sale = one if sale is None or _before(one, sale) else sale
        else:
            override = one if override is None or _before(one, override) else override
    return override, sale


def choose(candidates: Iterable[Candidate]) -> Candidate | None:
    """Highest priority, then most distinct attributes in the conditions, then lowest line, then id."""
    best: Candidate | None = None
    for one in candidates:
        if best is None or _before(one, best):
            best = one
    return best


def own_entries(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates without the adjustments of lists that have an entry for the product."""
    listed = {one.rule.part.id for one in candidates if one.rule.entry is not None}
    return [one for one in candidates if one.rule.entry is not None or one.rule.part.id not in listed]


def _before(one: Candidate, other: Candidate) -> bool:
    mine = one.rule.part.priority, one.rule.specificity
    theirs = other.rule.part.priority, other.rule.specificity
    if mine != theirs:
        return mine > theirs
    if one.line.unit.below(other.line.unit):
        return True
    return not other.line.unit.below(one.line.unit) and one.rule.part.id < other.rule.part.id


def _entry_line(entry: PriceEntry, quantity: Decimal) -> Line | None:
    if entry.amount is not None:
        return Line(Ratio(entry.amount), True)
    return tiered(entry.tier_mode, entry.tiers, quantity)


def _adjusted(header: PriceList, formula: Adjustment, here: Situation, published: Line | None) -> Line | Missing:
    """Base, less percent or amount, to a multiple, plus a surcharge, within margins; never below 0, and 0 stays 0."""
    base = _base(formula, here, published)
    if not isinstance(base, Line):
        return base
    # Its amounts are in the list's currency, else in the product's.
    factor = here.convert(_SAME, header.currency or here.sheet.currency) if formula.has_amounts else _SAME
    if factor is None:
        return here.missing()
    price = base.unit
    if formula.percent:
        price = price.times(subtract(ONE, multiply(formula.percent, _HUNDREDTH)))
    if formula.amount:
        price = less(price, Ratio(formula.amount).by(factor))
    if not price.num:
        return Line(Ratio(ZERO), base.by_unit)
    if formula.multiple_of is not None:
        own = price if factor is _SAME else Ratio(multiply(price.num, factor.den), multiply(price.den, factor.num))
        price = Ratio(multiple(own, formula.multiple_of, ZERO, "HALF_UP")).by(factor)
    if formula.plus:
        price = less(price, Ratio(formula.plus.copy_negate()).by(factor))
    return Line(_within_margins(formula, price, here), base.by_unit)


def _base(formula: Adjustment, here: Situation, published: Line | None) -> Line | Missing:
    if isinstance(formula.of, OfList):
        return _other_list(formula.of.list, here, published)
    if formula.of == "published":
        return here.missing() if published is None else published
    amount = here.sheet.list_price if formula.of == "list_price" else here.sheet.cost
    if amount is None:
        return "no_price"
    price = here.convert(Ratio(amount), here.sheet.currency)
    if price is None:
        return here.missing()
    return Line(price.by(here.tax.cost) if formula.of == "cost" else price, True)


def _other_list(list_id: str, here: Situation, published: Line | None) -> Line | Missing:
    """The other list's price at this instant, whatever its conditions, in the query's currency."""
    lines = []
    for rule in here.bound.by_list.get(list_id, ()):
        here.until = earliest(here.until, rule.edge(here.at))
        if rule.entry is not None and rule.state(here.at) is None:
            line = _entry_line(rule.entry, here.quantity)
            lines += [] if line is None else [Candidate(rule, line)]
    if (entry := choose(lines)) is not None:
        unit = here.convert(entry.line.unit, entry.rule.part.currency or here.sheet.currency)
        return here.missing() if unit is None else Line(unit, entry.line.by_unit)
    rule = here.bound.rules.lists[list_id]
    here.until = earliest(here.until, rule.edge(here.at))
    if rule.part.adjustment is None or rule.state(here.at) is not None or not here.bound.adjusts(rule.part):
        return "no_price"
    return _adjusted(rule.part, rule.part.adjustment, here, published)


def _within_margins(formula: Adjustment, price: Ratio, here: Situation) -> Ratio:
    if (formula.min_margin is None and formula.max_margin is None) or here.sheet.cost is None:
        return price
    cost = here.convert(Ratio(here.sheet.cost), here.sheet.currency)
    if cost is None:
        return price
    cost = cost.by(here.tax.cost)
    if formula.max_margin is not None and (most := cost.times(add(ONE, formula.max_margin))).below(price):
        price = most
    if formula.min_margin is not None and price.below(least := cost.times(add(ONE, formula.min_margin))):
        price = least
    return price
