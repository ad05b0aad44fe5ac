"""Price queries: everything about product, place, customer and purchase that a price may depend on."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from shared.pricing import currencies, money
from shared.pricing.currencies import CurrencyCode
from shared.pricing.product import ProductId
from shared.pricing.text import clean_id

Text = Annotated[str, Meta(min_length=1, max_length=64)]
Value = str | bool | int | float | Annotated[list[Text], Meta(max_length=64)]
QUANTITY_PLACES = 3
# These fields need a key with `prices:read`.
FOR_KEYS = ("customer_id", "customer_groups", "attributes", "at")


class PriceQuery(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A query for the price of a product, for a place, a customer, a purchase and an instant."""

    product_id: ProductId
    user_location: Annotated[
        Text | None,
        Meta(
            description="Code of the market, in capitals or small letters; unknown or null: the default market.",
            examples=["NY"],
        ),
    ] = None
    is_prime_member: Annotated[
        bool, Meta(description="Whether the customer is a member, and gets the membership discount.", examples=[True])
    ] = False
    quantity: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | Annotated[float, Meta(gt=0, le=1_000_000)],
        Meta(
            description="Units bought together, up to 1,000,000; up to three decimals where the product's "
            "`quantity_step` allows them.",
            examples=[12, 0.75],
        ),
    ] = 1
    currency: Annotated[
        CurrencyCode | None,
        Meta(description="Currency of the price, ISO 4217; null: the market's, else the product's.", examples=["USD"]),
    ] = None
    channel: Annotated[Text | None, Meta(description="The sales channel, for conditions.", examples=["app"])] = None
    customer_id: Annotated[
        Text | None, Meta(description="The customer, for contract prices. Needs `prices:read`.", examples=["c-17"])
    ] = None
    customer_groups: Annotated[
        tuple[Text, ...],
        Meta(
            max_length=16, description="The customer's groups, for conditions. Needs `prices:read`.", examples=[["b2b"]]
        ),
    ] = ()
    attributes: Annotated[
        dict[Text, Value],
        Meta(
            max_length=16,
            description="Free attributes, for conditions. Needs `prices:read`.",
            examples=[{"region": "north"}],
        ),
    ] = {}
    at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="The instant of the price, past or future; null: now. Needs `prices:read`.",
            examples=["2026-11-27T00:00:00Z"],
        ),
    ] = None

    def __post_init__(self) -> None:
        clean_id("product_id", self.product_id)
        if self.currency is not None:
            currencies.known_currency("currency", self.currency)
        if isinstance(self.quantity, float):
            money.number("quantity", exact(self.quantity), Decimal(0), Decimal(1_000_000), QUANTITY_PLACES)

    @property
    def is_for_keys(self) -> bool:
        """Whether the query names what only callers with a key may name."""
        return bool(self.customer_id or self.customer_groups or self.attributes or self.at)


def exact(number: float) -> Decimal:
    """A number of the wire as it was written, up to 15 digits."""
    return Decimal(number if type(number) is int else str(number))
