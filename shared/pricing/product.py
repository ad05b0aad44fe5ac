"""Products: the catalogue's facts about one product."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.pricing import currencies, money
from shared.pricing.currencies import CurrencyCode
from shared.pricing.text import clean_id, clean_text

MAX_ID = 128
ProductId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID,
        description="The product's identifier in the shop: printable text without blanks at its ends.",
        examples=["P-100"],
    ),
]


STANDARD_TAX = "standard"
MAX_CATEGORY = 256


class Tier(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """One volume tier: its unit price holds for the whole quantity, not for a slice of it."""

    up_to: Annotated[
        int | None,
        Meta(
            description="The largest quantity of the tier, inclusive, 1 to 1,000,000,000; null: no end.",
            examples=[9, None],
        ),
    ]
    unit_price: Annotated[
        Decimal,
        Meta(
            description="Price of one unit at the list price; it changes in proportion to the published price. "
            "0 to 999,999,999,999.9999, in the product's currency.",
            examples=["8.00"],
        ),
    ]


class Content(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """The content of one unit of the product, such as 750 ml."""

    amount: Annotated[Decimal, Meta(description="0.000001 to 1,000,000, with at most 6 decimals.", examples=["750"])]
    unit: Annotated[
        Literal["kg", "g", "l", "ml", "cl", "m", "cm", "m2", "piece"],
        Meta(description="The unit of the amount.", examples=["ml"]),
    ]

    def __post_init__(self) -> None:
        money.number("amount", self.amount, Decimal("0.000001"), Decimal(1_000_000))


class ProductInput(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """The catalogue's facts about one product; amounts are in `currency`.

    They are in whole minor units, or have up to `price_decimals`, at most 4 of them.

    Raises:
        ValueError: a field is out of bounds; the text starts with the field in backticks.
    """

    product_id: ProductId
    name: Annotated[
        str,
        Meta(min_length=1, max_length=200, description="The product's name.", examples=["Kettle, 1.7 l"]),
    ]
    category: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_CATEGORY,
            description="The product's category; the policy may have a strategy for it.",
            examples=["electronics"],
        ),
    ] = "general"
    currency: CurrencyCode
    base_price: Annotated[
        Decimal,
        Meta(description="The list price of one unit, 0 to 999,999,999,999.9999.", examples=["49.90"]),
    ]
    cost: Annotated[
        Decimal | None,
        Meta(
            description="The cost of one unit; the floor is cost plus the policy's minimum margin. null: unknown.",
            examples=["31.20"],
        ),
    ] = None
    stock: Annotated[
        int | None,
        Meta(description="Units in stock, 0 to 1,000,000,000; null: not counted.", examples=[120]),
    ] = None
    min_price: Annotated[
        Decimal | None,
        Meta(description="The lowest price; null: no such bound.", examples=["35.00"]),
    ] = None
    max_price: Annotated[
        Decimal | None,
        Meta(
            description="The highest price, unless the floor is higher; null: no such bound.",
            examples=["69.00"],
        ),
    ] = None
    strategy: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(
            description="The name of one of the policy's strategies; null: the category's strategy.",
            examples=["match"],
        ),
    ] = None
    tiers: Annotated[
        tuple[Tier, ...],
        Meta(
            max_length=20,
            description="Volume tiers by ascending `up_to`, the last one without end; empty: none.",
            examples=[[{"up_to": 9, "unit_price": "49.90"}, {"up_to": None, "unit_price": "44.90"}]],
        ),
    ] = ()
    brand: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(description="The product's brand, for rules that apply to brands; null: none.", examples=["Acme"]),
    ] = None
    tags: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
        Meta(max_length=32, description="Tags, for rules that apply to tags; each once.", examples=[["new", "red"]]),
    ] = ()
    content: Annotated[
        Content | None,
        Meta(
            description="The content of one unit, from which the price per kg or litre is computed; null: none.",
            examples=[{"amount": "750", "unit": "ml"}],
        ),
    ] = None
    tax_class: Annotated[
        str,
        Meta(
            min_length=1, max_length=64, description="A tax class; markets have a rate for each.", examples=["reduced"]
        ),
    ] = STANDARD_TAX
    quantity_step: Annotated[
        Decimal | None,
        Meta(
            description="Quantities are multiples of this step, 0.001 to 1,000,000; null: whole units.",
            examples=["0.5"],
        ),
    ] = None
    price_decimals: Annotated[
        Annotated[int, Meta(ge=0, le=6)] | None,
        Meta(
            description="Decimals of the unit price, of which its own amounts may have 4; null: those of the currency.",
            examples=[4],
        ),
    ] = None
    map_price: Annotated[
        Decimal | None,
        Meta(description="The lowest price that may be advertised; it is only shown. null: none.", examples=["45.00"]),
    ] = None
    rrp: Annotated[
        Decimal | None,
        Meta(description="The recommended retail price; it is only shown. null: none.", examples=["59.90"]),
    ] = None

    def __post_init__(self) -> None:
        clean_id("product_id", self.product_id)
        clean_text("name", self.name)
        clean_text("category", self.category)
        clean_text("strategy", self.strategy)
        clean_text("brand", self.brand)
        clean_text("tax_class", self.tax_class)
        _check_tags(self.tags)
        currencies.known_currency("currency", self.currency)
        self._check_amounts()
        if self.stock is not None and not 0 <= self.stock <= 1_000_000_000:
            raise ValueError("`stock` must be from 0 to 1000000000")
        if self.quantity_step is not None:
            money.number("quantity_step", self.quantity_step, Decimal("0.001"), Decimal(1_000_000), 3)
        _check_tiers(self.tiers, self.currency, self.price_decimals)

    def _check_amounts(self) -> None:
        money.amount_in_currency("base_price", self.base_price, self.currency, self.price_decimals)
        for field in ("cost", "min_price", "max_price", "map_price", "rrp"):
            value = getattr(self, field)
            if value is not None:
                money.amount_in_currency(field, value, self.currency, self.price_decimals)
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError("`min_price` must not be above max_price")


def _check_tags(tags: tuple[str, ...]) -> None:
    for index, tag in enumerate(tags):
        clean_text(f"tags[{index}]", tag)
    if len(set(tags)) < len(tags):
        raise ValueError("`tags` must have each tag once")


def _check_tiers(tiers: tuple[Tier, ...], currency: str, decimals: int | None) -> None:
    previous = 0
    for index, tier in enumerate(tiers):
        field = f"tiers[{index}]"
        money.amount_in_currency(f"{field}.unit_price", tier.unit_price, currency, decimals)
        if (tier.up_to is None) != (index == len(tiers) - 1):
            raise ValueError(f"`{field}.up_to` must be null for the last tier, and only there")
        if tier.up_to is not None:
            if not previous < tier.up_to <= 1_000_000_000:
                raise ValueError(f"`{field}.up_to` must be from {previous + 1} to 1000000000")
            previous = tier.up_to
