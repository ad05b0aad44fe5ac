"""From the exact price of one unit to the price charged: ending, bounds, rounding and total, in the form shown."""

from collections.abc import Sequence
from decimal import Decimal

from shared.pricing.bounds import Bounds
from shared.pricing.endings import ended
from shared.pricing.lowest_price import Reduction, ShownLow, reduction_by, shown
from shared.pricing.price_lists import Situation
from shared.pricing.ratio import ONE, ZERO, Ratio, multiply, rounded
from shared.pricing.rule_pool import Rule
from shared.pricing.rulebook import PriceList
from shared.pricing.trail import Trail


def places_of(rule: Rule[PriceList] | None, of_product: int | None, digits: int) -> int:
    """Decimals of the unit price: the entry's, else the list's, else the product's, else the currency's."""
    if rule is not None:
        if rule.entry is not None and rule.entry.price_decimals is not None:
            return rule.entry.price_decimals
        if rule.part.price_decimals is not None:
            return rule.part.price_decimals
    return digits if of_product is None else of_product


def limits_of(here: Situation, shown: Bounds | None, header: PriceList | None, trail: Trail | None) -> Bounds:
    """Floor and ceiling of one unit, as shown; none without a rate, a floor of 0 where the list charges below it."""
    if shown is None:
        if trail is not None:
            trail.reject("floor", "no_rate", f"no rate from {here.sheet.currency} to {here.currency}")
        return Bounds()
    if header is None or header.below_floor == "clamp":
        return shown
    if trail is not None:
        trail.below_floor(shown.floor, header.id)
    return Bounds(ZERO, shown.ceiling if shown.ceiling is None or shown.ceiling >= shown.floor else None)


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


def charged(here: Situation, unit: Ratio, header: PriceList | None, limits: Bounds, trail: Trail | None) -> Ratio:
    """The price of a list, or the published one, with its ending and within its bounds."""
    if here.terms.rules.policy.ending is not None:
        unit = with_ending(here, unit, header, limits, trail)
    return inside(unit, limits, trail)


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


def advertised(here: Situation, map_price: Decimal, final: Decimal, places: int) -> Decimal | None:
    """The price that may be advertised, where it is above the selling price."""
    amount = here.local.shown(map_price, places, here.rounding)
    return amount if amount is not None and amount > final else None


def lowest_price(
    here: Situation, header: PriceList | None, promotions: Sequence[str], final: Decimal
) -> ShownLow | None:
    """The lowest price before the public reduction; it is not shown to a customer or group with own prices."""
    query = here.query
    if query.customer_id or query.customer_groups or query.attributes or query.channel:
        return None
    name = reduction_by(header, promotions)
    return shown(here.sheet.lows, Reduction(market=here.local.market, currency=here.currency, name=name), final)
