"""The quote of most queries, in less time than `quote` takes for the same figures."""

from decimal import Decimal

from shared.pricing.answer import Quote
from shared.pricing.bounds import Bounds
from shared.pricing.charging import inside
from shared.pricing.compiled import BoundSheet, Fitting
from shared.pricing.exchange import earliest
from shared.pricing.local_terms import InMarket
from shared.pricing.money import Rounding
from shared.pricing.price_lists import tier_of
from shared.pricing.query import PriceQuery
from shared.pricing.ratio import ONE, ZERO, Ratio, multiply, rounded, subtract, to_places
from shared.pricing.rule_pool import Rule
from shared.pricing.rulebook import PriceList
from shared.pricing.tiers import Line, tiered

_UNBOUNDED = Bounds()


def plain_quote(bound: BoundSheet, query: PriceQuery, here: InMarket, fitting: Fitting) -> Quote | None:
    """Price a query by market, rate, tier, entries of price lists, promotions of a share, and membership.

    It multiplies and compares numbers where `quote` makes objects.

    Args:
        bound: The product's sheet, bound to the rulebook; it is plain.
        query: The query.
        here: The product in the query's market, which is plain, and currency.
        fitting: The rules that fit the query; they are plain.

    Returns:
        The quote; None: it takes `quote`, because of a rate that is missing, a fee, a price of 0 or part of a unit.
    """
    sheet, quantity, price, local = bound.sheet, query.quantity, here.price, here.local
    if price is None or type(quantity) is not int:
        return None
    num, den = price.num, price.den
    tier = tier_of(sheet.tiers, quantity) if sheet.tiers else None
    if tier is not None:
        share = bound.proportion(tier)
        num, den = multiply(num, share.num), den if share.den is ONE else multiply(den, share.den)
    header: PriceList | None = None
    sale: tuple[PriceList, Decimal] | None = None
    for rule in fitting.lists:
        if (rule.part.currency or sheet.currency) != local.currency:
            continue
        line = rule.line or _tiered(rule, quantity)
        if line is None:
            continue
        if not line.by_unit:
            return None
        if rule.part.kind == "sale":
            sale = rule.part, line.unit.num
        else:
            header, num, den = rule.part, line.unit.num, ONE
    reference_num, reference_den = num, den
    if sale is not None and (sale[1] if den is ONE else multiply(sale[1], den)) < num:
        header, num, den = *sale, ONE
    promotions, rate = tuple[str, ...](), ZERO
    if fitting.together is not None:
        if not num:
            return None
        promotions, num = fitting.together.ids, multiply(num, fitting.together.factor)
    policy = bound.rules.policy
    if query.is_prime_member and (rate := policy.membership_rate):
        num = multiply(num, subtract(ONE, rate))
    limits = here.shown.bounds or _UNBOUNDED
    final = _charged(num, den, limits, local.digits, policy.rounding)
    return Quote(
        product_id=sheet.product_id,
        currency=local.currency,
        quantity=quantity,
        base_price=here.shown.list_price,
        reference_price=final
        if num is reference_num
        else _charged(reference_num, reference_den, limits, local.digits, policy.rounding),
        final_price=final,
        total=multiply(final, quantity),
        discount_rate=rate,
        market=local.market,
        price_list=None if header is None else header.id,
        promotions=promotions,
        version=sheet.version,
        rulebook_version=bound.rules.version,
        computed_at=sheet.computed_at,
        valid_until=fitting.until if local.until is None else earliest(fitting.until, local.until),
    )


def _tiered(rule: Rule[PriceList], quantity: int) -> Line | None:
    entry = rule.entry
    return None if entry is None else tiered(entry.tier_mode, entry.tiers, Decimal(quantity))


def _charged(num: Decimal, den: Decimal, limits: Bounds, places: int, rounding: Rounding) -> Decimal:
    """The unit price `num` / `den` within its bounds, rounded once."""
    if den is not ONE:
        return rounded(inside(Ratio(num, den), limits, None), places, rounding)
    if limits.ceiling is not None and num > limits.ceiling:
        num = limits.ceiling
    if num < limits.floor:
        num = limits.floor
    return to_places(num, places, rounding)
