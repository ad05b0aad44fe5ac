"""Queries of the shop's own: what its customers pay before and after a plan, on given volumes."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from shared.plans.sums import Money, QuerySums
from shared.pricing.answer import NotQuoted, Quote
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.currencies import known_currency
from shared.pricing.product import ProductId
from shared.pricing.query import PriceQuery, Text, Value, exact
from shared.pricing.quote import quote

MOST_QUERIES = 10
MOST_VOLUMES = 10_000

Volume = Annotated[Decimal, Meta(description="How often it is bought, 0 to 1,000,000,000.", examples=["120"])]


class ShopQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A query that customers make, for each product, and how often they buy."""

    name: Annotated[Text, Meta(description="A name for people.", examples=["members in NY"])]
    user_location: Annotated[Text | None, Meta(description="The market.", examples=["NY"])] = None
    is_prime_member: Annotated[bool, Meta(description="Whether they are members.", examples=[True])] = False
    quantity: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)], Meta(description="Units bought together.", examples=[1])
    ] = 1
    currency: Annotated[str | None, Meta(description="The currency.", examples=["USD"])] = None
    channel: Annotated[Text | None, Meta(description="The sales channel.", examples=["app"])] = None
    customer_groups: Annotated[
        tuple[Text, ...], Meta(max_length=16, description="Their groups.", examples=[["b2b"]])
    ] = ()
    attributes: Annotated[
        dict[Text, Value], Meta(max_length=16, description="Free attributes.", examples=[{"region": "north"}])
    ] = {}
    volume: Volume = Decimal(1)
    volumes: Annotated[
        dict[ProductId, Volume],
        Meta(
            max_length=MOST_VOLUMES,
            description="By product; the others are then left out. Empty: `volume` for each.",
            examples=[{"P-100": "120"}],
        ),
    ] = {}

    def __post_init__(self) -> None:
        if self.currency is not None:
            known_currency("currency", self.currency)
        for volume in (self.volume, *self.volumes.values()):
            if not volume.is_finite() or not 0 <= volume <= 1_000_000_000:
                raise ValueError("`volume` must be from 0 to 1000000000")

    def of(self, product_id: str) -> PriceQuery:
        """The query for a product."""
        return PriceQuery(
            product_id=product_id,
            user_location=self.user_location,
            is_prime_member=self.is_prime_member,
            quantity=self.quantity,
            currency=self.currency,
            channel=self.channel,
            customer_groups=self.customer_groups,
            attributes=self.attributes,
        )


Bound = tuple[Terms, BoundSheet]


def add(sums: dict[str, QuerySums], queries: Sequence[ShopQuery], before: Bound, after: Bound, at: datetime) -> None:
    """Add what one product costs by each query; call it in `exact()`."""
    product_id = before[1].sheet.product_id
    for each in queries:
        volume = each.volumes.get(product_id) if each.volumes else each.volume
        if volume is None:
            continue
        total = sums.setdefault(each.name, QuerySums())
        query = each.of(product_id)
        first, second = _quote(before, query, at), _quote(after, query, at)
        total.products += 1
        if first is None or second is None or first.currency != second.currency:
            total.not_comparable += 1
            continue
        total.rise += second.total > first.total
        total.fall += second.total < first.total
        money = total.money.setdefault(first.currency, Money())
        money.revenue_before += first.total * volume
        money.revenue_after += second.total * volume
        if (cost := _cost(before[1], first)) is not None:
            money.margin_before += (_net(first) - cost) * volume
            money.margin_after += (_net(second) - (_cost(after[1], second) or cost)) * volume
        else:
            money.without_cost += 1


def _quote(bound: Bound, query: PriceQuery, at: datetime) -> Quote | None:
    try:
        return quote(*bound, query, at)
    except NotQuoted:
        return None


def _net(priced: Quote) -> Decimal:
    return priced.total - priced.tax.amount if priced.tax is not None and priced.tax.included else priced.total


def _cost(bound: BoundSheet, priced: Quote) -> Decimal | None:
    """The cost of the line; None: it is not known in the quote's currency."""
    sheet = bound.sheet
    if sheet.cost is None or sheet.currency != priced.currency:
        return None
    return sheet.cost * exact(priced.quantity)
