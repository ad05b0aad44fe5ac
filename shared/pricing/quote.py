"""Quotes: the answer to one query from sheet, rulebook, market values and instant, in microseconds."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from shared.pricing import beside, charging
from shared.pricing.answer import NoPrice, Quote, UnknownMarket, WrongQuantity
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.entries import PriceEntry
from shared.pricing.exchange import earliest
from shared.pricing.plain import plain_quote
from shared.pricing.price_lists import Candidate, Situation, choose_each, line_of, own_entries, tier_of
from shared.pricing.promotions import Discounting
from shared.pricing.query import PriceQuery, exact
from shared.pricing.ratio import ONE, ZERO, Ratio, multiply, rounded, subtract
from shared.pricing.rule_pool import Rule
from shared.pricing.rulebook import PriceList
from shared.pricing.sheet import PriceSheet
from shared.pricing.tax import UNCHANGED, tax_of
from shared.pricing.tiers import Line
from shared.pricing.trail import Trail, rejections


class _Chosen(Struct, frozen=True, gc=False):
    """The line to be charged and the reference's, with the lists that they come from; None: the published price."""

    line: Line
    rule: Rule[PriceList] | None
    reference: Line
    reference_rule: Rule[PriceList] | None


def quote(
    terms: Terms,
    bound: BoundSheet,
    query: PriceQuery,
    at: datetime,
    *,
    contract: Sequence[PriceEntry] = (),
    explain: bool = False,
) -> Quote:
    """Price one query at an instant; the same inputs give the same quote everywhere.

    Market and currency → candidates → reference and sale → promotions and membership → shown form and ending → bounds
    → rounding, once → what is shown beside it. Every amount is exact until the rounding.

    Args:
        terms: The compiled rulebook with the market values.
        bound: The product's sheet, bound to the same rulebook.
        query: The query; its `product_id` is the sheet's.
        at: The instant, aware.
        contract: The product's entries for the query's customer.
        explain: Adds `steps` and `rejected`; it changes no figure.

    Raises:
        NoPrice: the product has no price in the query's currency.
        UnknownMarket: the policy refuses the query's location.
        WrongQuantity: the product is not sold in the query's quantity.
    """
    sheet = bound.sheet
    if type(query.quantity) is float or sheet.quantity_step is not None:
        _check_quantity(query, sheet)
    location = query.user_location
    place = terms.default if location is None else terms.place(location)
    known = None if place is not None else False
    if place is None:
        if terms.rules.policy.unknown_market == "refuse":
            raise UnknownMarket(location or "")
        place = terms.default
    currency = query.currency or place.rules.currency or sheet.currency
    fitting = bound.fitting(query, at)
    in_market = bound.in_market(terms, place, currency, at)
    if bound.plain and place.plain and fitting.plain and not (explain or contract):
        priced = plain_quote(bound, query, in_market, fitting)
        if priced is not None:
            return priced if known is None else replace(priced, market_known=known)
    here = Situation(terms, bound, query, at, in_market, fitting)
    rate = terms.rules.policy.membership_rate
    return _by_rules(here, known, contract, Trail(sheet, currency, rate) if explain else None)


def _by_rules(here: Situation, known: bool | None, contract: Sequence[PriceEntry], trail: Trail | None) -> Quote:
    sheet, tax, market, digits = here.sheet, here.tax, here.local.rules, here.local.digits
    chosen = _chosen(here, _published(here, trail), contract, trail)
    header = chosen.rule.part if chosen.rule is not None else None
    unit, promotions, rate = _discounted(here, chosen, header, trail)
    reference = chosen.reference.unit
    undiscounted = unit is reference
    if tax.price is not UNCHANGED:
        unit, reference = unit.by(tax.price), reference.by(tax.price)
        if trail is not None:
            trail.step("tax", unit, f"shown {tax.show}")

    places = charging.places_of(chosen.rule, sheet.price_decimals, digits)
    shown = here.bound.shown(here.local, places)
    limits = charging.limits_of(here, shown.bounds, header, trail)
    unit = charging.charged(here, unit, header, limits, trail)
    final = rounded(unit, places, here.rounding)
    by_unit = final if chosen.line.by_unit and here.terms.rules.policy.rounds == "unit" else None
    total = charging.total_of(by_unit, unit, here, places, digits, limits)
    if not undiscounted:
        of_reference = None if chosen.reference_rule is None else chosen.reference_rule.part
        reference = charging.charged(here, reference, of_reference, limits, None)
        reference_price = rounded(reference, places, here.rounding)
    if trail is not None:
        trail.rounding(final, unit, here.rounding)

    # Fifteen are the most that Python passes by name without a dictionary, which takes three times as long.
    priced = Quote(
        product_id=sheet.product_id,
        currency=here.currency,
        quantity=here.query.quantity,
        base_price=shown.list_price,
        reference_price=final if undiscounted else reference_price,
        final_price=final,
        total=total,
        discount_rate=rate,
        market=here.local.market,
        price_list=None if header is None else header.id,
        promotions=promotions,
        version=sheet.version,
        rulebook_version=here.terms.rules.version,
        computed_at=sheet.computed_at,
        valid_until=here.until,
    )
    if here.bound.bare and known is None and tax.rate is None and market.cash_step is None and trail is None:
        return priced
    return replace(
        priced,
        market_known=known,
        tax=None if tax.rate is None else tax_of(total, by_unit, here.quantity, tax, digits, here.rounding),
        unit_price=None
        if sheet.content is None
        else beside.unit_price(final, sheet.content, market.unit_price_per, digits, here.rounding),
        lowest_price=None
        if undiscounted or not sheet.lows or contract or final >= reference_price
        else charging.lowest_price(here, header, promotions, final),
        advertised_price=None if sheet.map_price is None else charging.advertised(here, sheet.map_price, final, places),
        cash_total=None
        if market.cash_step is None or market.currency not in (None, here.currency)
        else beside.cash_total(total, market.cash_step, digits),
        steps=None if trail is None else trail.steps(),
        rejected=None if trail is None else rejections(here, trail, contract),
    )


def _check_quantity(query: PriceQuery, sheet: PriceSheet) -> None:
    if exact(query.quantity) % (ONE if sheet.quantity_step is None else sheet.quantity_step):
        raise WrongQuantity(sheet.quantity_step)


def _published(here: Situation, trail: Trail | None) -> Line | None:
    """The published price in the market, with the product's tier, in the query's currency."""
    sheet = here.sheet
    if trail is None and sheet.list_price:
        price = here.price
        tier = tier_of(sheet.tiers, here.query.quantity) if sheet.tiers else None
        if tier is not None and price is not None:
            price = price.by(here.bound.proportion(tier))
        return None if price is None else Line(price, True)
    multiplier = here.local.multiplier
    in_market = multiply(sheet.published_price, multiplier)
    unit, tier = here.in_tier(in_market, multiplier) if sheet.tiers else (Ratio(in_market), None)
    if trail is not None:
        trail.market(in_market, here.local.market, multiplier)
        if tier is not None:
            trail.tier(unit, tier)
    if here.currency == sheet.currency:
        return Line(unit, True)
    factor = here.local.factor
    if factor is None:
        return None
    converted = unit.by(factor)
    if trail is not None:
        trail.exchange(converted, here)
    return Line(converted, True)


def _chosen(here: Situation, published: Line | None, contract: Sequence[PriceEntry], trail: Trail | None) -> _Chosen:
    reference = sale = None
    if here.fitting.lists or contract:
        candidates = _candidates(here, published, contract, trail)
        reference, sale = choose_each(candidates)
        if trail is not None:
            trail.losers(candidates, reference, sale)
    line = published if reference is None else reference.line
    if trail is not None and reference is not None:
        trail.step("price_list", reference.line.unit, f"list {reference.rule.part.id}")
    if sale is not None:
        if line is None or sale.line.unit.below(line.unit):
            if trail is not None:
                trail.step("sale", sale.line.unit, f"sale {sale.rule.part.id}")
            if line is None:
                return _Chosen(sale.line, sale.rule, sale.line, sale.rule)
            return _Chosen(sale.line, sale.rule, line, None if reference is None else reference.rule)
        if trail is not None:
            trail.reject("price_list", "no_effect", f"sale {sale.rule.part.id} is not below the reference price")
    if line is None:
        raise NoPrice(here.sheet.product_id, here.currency, here.missing())
    rule = None if reference is None else reference.rule
    return _Chosen(line, rule, line, rule)


def _candidates(
    here: Situation, published: Line | None, contract: Sequence[PriceEntry], trail: Trail | None
) -> list[Candidate]:
    found: list[Candidate] = []
    rules = here.fitting.lists
    for rule in here.bound.contract(contract) if contract else ():
        if rule.fits(here.query):
            here.until = earliest(here.until, rule.edge(here.at))
            rules += (rule,) if rule.state(here.at) is None else ()
    for rule in rules:
        line = line_of(rule, here, published)
        if isinstance(line, Line):
            found.append(Candidate(rule, line))
        elif trail is not None:
            trail.no_line(rule, line)
    return own_entries(found) if len(found) > 1 else found


def _discounted(
    here: Situation, chosen: _Chosen, header: PriceList | None, trail: Trail | None
) -> tuple[Ratio, tuple[str, ...], Decimal]:
    """The price after promotions and membership; the promotions; the share for membership."""
    unit, rate, fitting = chosen.line.unit, ZERO, here.fitting.promotions
    if header is not None and not header.combinable:
        return unit, (), rate
    promotions, exclusive = tuple[str, ...](), False
    if fitting:
        together = here.fitting.together if trail is None and unit.num else None
        if together is not None:
            unit, promotions = unit.times(together.factor), together.ids
        else:
            unit, promotions, exclusive = _one_by_one(here, unit, chosen.reference.unit, trail)
    if here.query.is_prime_member and not exclusive and (rate := here.terms.rules.policy.membership_rate):
        unit = unit.times(subtract(ONE, rate))
        if trail is not None:
            trail.membership(unit, rate)
    return unit, promotions, rate


def _one_by_one(
    here: Situation, unit: Ratio, reference: Ratio, trail: Trail | None
) -> tuple[Ratio, tuple[str, ...], bool]:
    """The price after promotions; those applied; whether an exclusive one applied alone."""
    policy = here.terms.rules.policy
    discounting = Discounting(
        reference, policy.stacking, here.convert, "no_rate" if policy.convert else "other_currency"
    )
    off = discounting.apply(here.fitting.promotions, unit)
    if trail is not None:
        trail.promotions(off)
    applied = off.applied
    return applied[-1].price if applied else unit, tuple([one.promotion.id for one in applied]), off.exclusive
