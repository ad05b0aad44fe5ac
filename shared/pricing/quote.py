"""Quotes: the answer to one query, computed from a price sheet in microseconds."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import replace

from shared.pricing.currencies import CurrencyCode
from shared.pricing.explanation import Rejection, Step
from shared.pricing.market import Market
from shared.pricing.money import divide, multiply, percent, plain, round_to, shown, subtract
from shared.pricing.product import ProductId, Tier
from shared.pricing.query import PriceQuery
from shared.pricing.sheet import Instant, PriceSheet

_NONE = Decimal(0)
_ONE = Decimal(1)


class Quote(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One price for one query. Amounts are in `currency` and in whole minor units."""

    product_id: ProductId
    currency: CurrencyCode
    quantity: Annotated[int, Meta(description="The query's quantity.", examples=[12])]
    base_price: Annotated[Decimal, Meta(description="List price of one unit.", examples=["49.90"])]
    final_price: Annotated[Decimal, Meta(description="Price of one unit, rounded once.", examples=["45.04"])]
    total: Annotated[Decimal, Meta(description="final_price × quantity.", examples=["540.48"])]
    discount_rate: Annotated[
        Decimal, Meta(description="The share taken off for membership, 0 to 1.", examples=["0.05", "0"])
    ]
    market: Annotated[str, Meta(description="Code of the market applied.", examples=["NY", "DEFAULT"])]
    version: Annotated[int, Meta(description="Version of the price sheet; only grows.", examples=[7])]
    computed_at: Annotated[
        datetime,
        Meta(
            tz=True,
            description="The time at which the published price was decided.",
            examples=["2026-03-01T12:00:00Z"],
        ),
    ]
    valid_until: Annotated[
        Instant | None,
        Meta(
            description="The next scheduled change of the price; null: none is scheduled.",
            examples=[None],
        ),
    ]
    steps: Annotated[
        tuple[Step, ...] | None,
        Meta(description="The applied rules, in order; only with `explain`."),
    ] = None
    rejected: Annotated[
        tuple[Rejection, ...] | None,
        Meta(description="The rules and signals that were considered and not used; only with `explain`."),
    ] = None


class NoPrice(Exception):
    """The product has no price in the query's currency."""

    def __init__(self, product_id: str, currency: str) -> None:
        super().__init__(f"{product_id} has no price in {currency}")
        self.product_id = product_id
        self.currency = currency


def quote(sheet: PriceSheet, market: Market, query: PriceQuery, *, explain: bool = False) -> Quote:
    """Price one query from a sheet; the same inputs give the same quote everywhere.

    Published price → market multiplier → volume tier → membership → ceiling → floor → rounding. The price is
    rounded once, to the currency's ISO 4217 exponent. The floor wins over everything. Amounts are Decimals in the
    sheet's currency; `total` is the rounded unit price × quantity. `market` is the market of `query.user_location`.

    `explain` adds `steps` and `rejected`, those of the background decision first. It changes no figure.

    Raises:
        NoPrice: the sheet has no price in the query's currency.
    """
    if query.currency is not None and query.currency != sheet.currency:
        raise NoPrice(sheet.product_id, query.currency)
    tier = tier_of(sheet.tiers, query.quantity)
    rate = sheet.membership_rate if query.is_prime_member else _NONE
    prices = prices_of(sheet, market.multiplier, tier, rate)
    return Quote(
        product_id=sheet.product_id,
        currency=sheet.currency,
        quantity=query.quantity,
        base_price=sheet.list_price,
        final_price=prices.unit,
        total=multiply(prices.unit, query.quantity),
        discount_rate=rate,
        market=market.code,
        version=sheet.version,
        computed_at=sheet.computed_at,
        valid_until=sheet.valid_until,
        steps=(*sheet.steps, *_steps(sheet, market, tier, rate, prices)) if explain else None,
        rejected=(*sheet.rejected, *_rejected(sheet, query)) if explain else None,
    )


def public(priced: Quote, sheet: PriceSheet) -> tuple[Quote, int]:
    """A quote whose explanation shows neither cost, floor, margin nor competitors, and the number of omitted parts.

    The whole background decision is omitted: prices before and after a step also show the steps beside it.
    """
    steps = (priced.steps or ())[len(sheet.steps) :]
    rejected = (priced.rejected or ())[len(sheet.rejected) :]
    # A floor is followed by nothing but the rounding, which starts from it.
    shown_steps = tuple(takewhile(lambda step: step.rule != "floor", steps))
    hidden = len(sheet.steps) + len(steps) - len(shown_steps) + len(sheet.rejected)
    return replace(priced, steps=shown_steps, rejected=rejected), hidden


def tier_of(tiers: tuple[Tier, ...], quantity: int | Decimal) -> Tier | None:
    """The tier whose range holds the whole quantity (`up_to` is inclusive); None where there are no tiers."""
    for tier in tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return tier
    return None


class Prices(NamedTuple):
    """The unit price after each rule; the price after the tier is `in_tier` / `divisor`."""

    in_market: Decimal
    in_tier: Decimal
    divisor: Decimal
    for_member: Decimal
    under_ceiling: Decimal
    over_floor: Decimal
    unit: Decimal


def prices_of(sheet: PriceSheet, multiplier: Decimal, tier: Tier | None, rate: Decimal) -> Prices:
    """The unit price after each rule, for a multiplier of the market and a share off for membership."""
    in_market = in_tier = multiply(sheet.published_price, multiplier)
    divisor = _ONE
    if tier is not None and sheet.list_price:
        in_tier, divisor = multiply(in_market, tier.unit_price), sheet.list_price
    elif tier is not None:  # a list price of 0 has no proportion: the tier's own price applies
        in_tier = multiply(tier.unit_price, multiplier)
    # The division comes last: a tie of the exact result is then still a tie at the rounding.
    for_member = multiply(in_tier, subtract(_ONE, rate)) if rate else in_tier
    if divisor is not _ONE:
        for_member = divide(for_member, divisor)
    under_ceiling = for_member if sheet.ceiling is None or for_member <= sheet.ceiling else sheet.ceiling
    over_floor = under_ceiling if under_ceiling >= sheet.floor else sheet.floor
    unit = round_to(over_floor, sheet.currency, sheet.rounding)
    return Prices(in_market, in_tier, divisor, for_member, under_ceiling, over_floor, unit)


def _steps(sheet: PriceSheet, market: Market, tier: Tier | None, rate: Decimal, prices: Prices) -> Iterator[Step]:
    def step(rule: str, before: Decimal, after: Decimal, reason: str) -> Step:
        return Step(rule=rule, before=shown(before, sheet.currency), after=shown(after, sheet.currency), reason=reason)

    in_tier = divide(prices.in_tier, prices.divisor)
    yield step("market", sheet.published_price, prices.in_market, f"market {market.code} × {plain(market.multiplier)}")
    if tier is not None:
        yield step("tier", prices.in_market, in_tier, _tier_reason(sheet, tier))
    if rate:
        yield step("membership", in_tier, prices.for_member, f"member: {percent(rate)} off")
    if prices.under_ceiling != prices.for_member:
        yield step("ceiling", prices.for_member, prices.under_ceiling, f"not above {prices.under_ceiling}")
    if prices.over_floor != prices.under_ceiling:
        yield step("floor", prices.under_ceiling, prices.over_floor, f"not below {sheet.floor}")
    if prices.unit != prices.over_floor:
        yield step("rounding", prices.over_floor, prices.unit, f"{sheet.rounding} in {sheet.currency}")


def _tier_reason(sheet: PriceSheet, tier: Tier) -> str:
    quantities = "for any larger quantity" if tier.up_to is None else f"up to {tier.up_to}"
    prices = f"{shown(tier.unit_price, sheet.currency)} beside the list price {sheet.list_price}"
    return f"tier {quantities}: {prices}"


def _rejected(sheet: PriceSheet, query: PriceQuery) -> Iterator[Rejection]:
    if sheet.membership_rate and not query.is_prime_member:
        yield Rejection(rule="membership", reason=f"not a member: {percent(sheet.membership_rate)} not taken")
