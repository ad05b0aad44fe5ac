"""Price queries: a product, a place, a customer and a quantity."""

from typing import Annotated

from msgspec import Meta, Struct

from shared.pricing import currencies
from shared.pricing.currencies import CurrencyCode
from shared.pricing.product import ProductId
from shared.pricing.text import clean_text


class PriceQuery(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A query for the price of a product, for a place, a customer and a quantity."""

    product_id: ProductId
    user_location: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(
            description="Code of the market; unknown or null: the default market.",
            examples=["NY"],
        ),
    ] = None
    is_prime_member: Annotated[
        bool, Meta(description="Whether the customer is a member, and gets the membership discount.", examples=[True])
    ] = False
    quantity: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Units bought together, 1 to 1,000,000.", examples=[12])
    ] = 1
    currency: Annotated[
        CurrencyCode | None,
        Meta(
            description="Currency of the price, ISO 4217; null: the product's own.",
            examples=["USD"],
        ),
    ] = None

    def __post_init__(self) -> None:
        clean_text("product_id", self.product_id)
        if self.currency is not None:
            currencies.known_currency("currency", self.currency)
