"""From the exact price of one unit to the price charged: ending, bounds, rounding and total, in the form shown."""

from decimal import Decimal

from shared.pricing.bounds import Bounds, bounds
from shared.pricing.endings import ended
from shared.pricing.price_lists import Situation
from shared.pricing.ratio import ONE, ZERO, Ratio, multiply, rounded
from shared.pricing.rule_pool import Rule
from shared.pricing.rulebook import PriceList
from shared.pricing.tax import UNCHANGED
from shared.pricing.trail import Trail


def places_of(rule: Rule[PriceList] | None, of_product: int | None, digits: int) -> int:
    """Decimals of the unit price: the entry's, else the list's, else the product's, else the currency's."""
    if rule is not None:
        if rule.entry is not None and rule.entry.price_decimals is not None:
            return rule.entry.price_decimals
        if rule.part.price_decimals is not None:
            return rule.part.price_decimals
    return digits if of_product is None else of_product


def bounds_of(here: Situation, header: PriceList | None, places: int, digits: int, trail: Trail | None) -> Bounds:
    """Floor and ceiling of one unit, as shown; a floor of 0 where the list charges below it."""
    sheet, tax = here.sheet, here.tax
    charge = header is not None and header.below_floor == "charge"
    if not charge and places >= digits and here.currency == sheet.currency and tax.price is tax.floor is UNCHANGED:
        return here.bound.bounds  # they are in whole minor units
    floor = here.convert(Ratio(sheet.floor), sheet.currency)
    if floor is None:
        if trail is not None:
            trail.reject("floor", "no_rate", f"no rate from {sheet.currency} to {here.currency}")
        return Bounds()
    ceiling = None if sheet.ceiling is None else here.convert(Ratio(sheet.ceiling), sheet.currency)
    if tax.floor is not UNCHANGED:
        floor = floor.by(tax.floor)
    if ceiling is not None and tax.price is not UNCHANGED:
        ceiling = ceiling.by(tax.price)
    limits = bounds(floor, ceiling, places)
    if header is not None and charge:
        if trail is not None:
            trail.below_floor(limits.floor, header.id)
        return Bounds(ZERO, limits.ceiling if limits.ceiling is None or limits.ceiling >= limits.floor else None)
    return limits


def with_ending(here: Situation, unit: Ratio, header: PriceList | None, limits: Bounds, trail: Trail | None) -> Ratio:
    """The price with the policy's ending: always a published or converted one, a list's where the list wants it."""
    ending = here.terms.rules.policy.ending
    if ending is None or (header is not None and not header.ending):
        return unit
    price = ended(unit, ending, limits.floor, limits.ceiling)
    if price is None or (unit.den is ONE and unit.num == price):
        return unit
    if trail is not None:
        trail.step("ending", Ratio(price), f"a multiple of {ending.multiple_of}, plus {ending.plus}")
    return Ratio(price)


def reference_price(here: Situation, rule: Rule[PriceList] | None, unit: Ratio, limits: Bounds, places: int) -> Decimal:
    """The reference price as it would be charged by itself; `rule` is the list that it comes from."""
    header = None if rule is None else rule.part
    unit = inside(with_ending(here, unit, header, limits, None), limits, None)
    return rounded(unit, places, here.rounding)


def inside(unit: Ratio, limits: Bounds, trail: Trail | None) -> Ratio:
    """The price within its bounds; the floor wins over the ceiling."""
    floor, ceiling = limits.floor, limits.ceiling
    if ceiling is not None and unit.num > (ceiling if unit.den is ONE else multiply(ceiling, unit.den)):
        unit = Ratio(ceiling)
        if trail is not None:
            trail.step("ceiling", unit, f"not above {ceiling}")
    if unit.num < (floor if unit.den is ONE else multiply(floor, unit.den)):
        unit = Ratio(floor)
        if trail is not None:
            trail.step("floor", unit, f"not below {floor}")
    return unit


def total_of(final: Decimal | None, unit: Ratio, here: Situation, places: int, digits: int, limits: Bounds) -> Decimal:
    """The price of the quantity in whole minor units, never below the floor's."""
    quantity, rounding = here.quantity, here.rounding
    if final is not None:
        total = multiply(final, quantity)
        if places == digits and total.same_quantum(final):
            return total
        exact = rounded(Ratio(total), digits, rounding)
    else:
        exact = rounded(unit.times(quantity), digits, rounding)
    if limits.floor and exact < (least := multiply(limits.floor, quantity)):
        return rounded(Ratio(least), digits, "CEILING")
    return exact


def as_shown(here: Situation, amount: Decimal, places: int) -> Decimal | None:
    """An amount of the product as the market shows it; None without a rate."""
    if here.currency == here.sheet.currency and here.tax.price is UNCHANGED:
        return amount
    converted = here.convert(Ratio(amount), here.sheet.currency)
    return None if converted is None else rounded(converted.by(here.tax.price), places, here.rounding)


def advertised(here: Situation, map_price: Decimal, final: Decimal, places: int) -> Decimal | None:
    """The price that may be advertised, where it is above the selling price."""
    amount = as_shown(here, map_price, places)
    return amount if amount is not None and amount > final else None
