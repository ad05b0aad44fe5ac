"""The words of a price: what goes in, what the cache holds, what comes out. All frozen, all values."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.pricing import money
from shared.pricing.money import Rounding
from shared.pricing.text import clean_text

DEFAULT_MARKET_CODE = "DEFAULT"

ProductId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        description="The product's identifier in the shop.",
        examples=["P-100"],
    ),
]
CurrencyCode = Annotated[
    str,
    Meta(pattern="^[A-Z]{3}$", description="Active ISO 4217 code in capitals.", examples=["USD"]),
]
Instant = Annotated[datetime, Meta(tz=True)]


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
            description="Price of one unit, to be read beside the list price: it follows every change "
            "of the published price in proportion. 0 to 999,999,999,999.9999, in the product's currency.",
            examples=["8.00"],
        ),
    ]


class ProductInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The catalogue's facts about one product; amounts are in `currency` and in whole minor units.

    Raises:
        ValueError: a field is out of bounds; the text starts with the field in backticks.
    """

    product_id: ProductId
    name: Annotated[
        str,
        Meta(min_length=1, max_length=200, description="What people call it.", examples=["Kettle, 1.7 l"]),
    ]
    category: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description="The policy may name a strategy for it.",
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
            description="What one unit costs us; the floor is cost plus the policy's minimum margin. null: not known.",
            examples=["31.20"],
        ),
    ] = None
    stock: Annotated[
        int | None,
        Meta(description="Units at hand, 0 to 1,000,000,000; null: not counted.", examples=[120]),
    ] = None
    min_price: Annotated[
        Decimal | None,
        Meta(description="Never sold for less than this; null: no such bound.", examples=["35.00"]),
    ] = None
    max_price: Annotated[
        Decimal | None,
        Meta(
            description="Never sold for more, unless the floor is higher; null: no such bound.",
            examples=["69.00"],
        ),
    ] = None
    strategy: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(
            description="A strategy named in the policy; null: the one of the category.",
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

    def __post_init__(self) -> None:
        clean_text("product_id", self.product_id)
        clean_text("name", self.name)
        clean_text("category", self.category)
        clean_text("strategy", self.strategy)
        money.known_currency("currency", self.currency)
        self._check_amounts()
        if self.stock is not None and not 0 <= self.stock <= 1_000_000_000:
            raise ValueError("`stock` must be from 0 to 1000000000")
        _check_tiers(self.tiers, self.currency)

    def _check_amounts(self) -> None:
        money.amount_in_currency("base_price", self.base_price, self.currency)
        for field in ("cost", "min_price", "max_price"):
            value = getattr(self, field)
            if value is not None:
                money.amount_in_currency(field, value, self.currency)
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError("`min_price` must not be above max_price")


class Signal(Struct, frozen=True, kw_only=True):
    """What the market says about one product: a competitor's price, or the demand index.

    `source` is the competitor, or who measured the demand. `value` is an amount in `currency` (at most
    4 decimals) for a competitor, and an index in [0.01, 100] where 1 is normal for demand.
    """

    kind: Literal["competitor", "demand"]
    source: str
    value: Decimal
    currency: str | None = None
    in_stock: bool = True

    def __post_init__(self) -> None:
        if self.kind == "demand":
            money.multiplier("value", self.value)
        else:
            money.amount("value", self.value)


class Step(Struct, frozen=True, gc=False, kw_only=True):
    """One rule that was applied, with the unit price before and after it."""

    rule: Annotated[str, Meta(description="The rule's name.", examples=["market"])]
    before: Annotated[
        Decimal,
        Meta(description="Unit price before the rule, at most 6 decimals shown.", examples=["49.90"]),
    ]
    after: Annotated[
        Decimal,
        Meta(description="Unit price after the rule, at most 6 decimals shown.", examples=["47.405"]),
    ]
    reason: Annotated[str, Meta(description="Why, with the figures.", examples=["market NY × 0.95"])]


class Rejection(Struct, frozen=True, gc=False, kw_only=True):
    """One rule, or one signal, that was considered and not used."""

    rule: Annotated[str, Meta(description="The rule's name.", examples=["competitor"])]
    reason: Annotated[str, Meta(description="Why not.", examples=["acme is out of stock"])]


class Market(Struct, frozen=True, gc=False, kw_only=True):
    """One market: its multiplier, in [0.01, 100], is applied to every price asked for there."""

    code: str
    multiplier: Decimal
    version: int

    def __post_init__(self) -> None:
        money.multiplier("multiplier", self.multiplier)


class PriceSheet(Struct, frozen=True, gc=False, kw_only=True):
    """Everything a quote for one product needs; the cache holds it as JSON under the product alone.

    It depends on the product, its signals and the policy, never on who asks: location, membership,
    quantity and currency are applied in `quote`. Amounts are in `currency`; `floor` and `ceiling` are in
    whole minor units; `published_price` is not rounded.
    """

    product_id: str
    version: int
    policy_version: int
    currency: str
    list_price: Decimal
    published_price: Decimal
    floor: Decimal
    ceiling: Decimal | None
    tiers: tuple[Tier, ...] = ()
    membership_rate: Decimal
    rounding: Rounding
    computed_at: Instant
    valid_until: Instant | None = None
    steps: tuple[Step, ...] = ()
    rejected: tuple[Rejection, ...] = ()


class PriceQuery(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """Who asks for which price, where, and for how many."""

    product_id: ProductId
    user_location: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(
            description="Code of the market; unknown or null: the default market.",
            examples=["NY"],
        ),
    ] = None
    is_prime_member: Annotated[bool, Meta(description="Whether the membership's share comes off.", examples=[True])] = (
        False
    )
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
            money.known_currency("currency", self.currency)


class Quote(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One price for one query. Amounts are in `currency` and in whole minor units."""

    product_id: ProductId
    currency: CurrencyCode
    quantity: Annotated[int, Meta(description="Units asked for.", examples=[12])]
    base_price: Annotated[Decimal, Meta(description="List price of one unit.", examples=["49.90"])]
    final_price: Annotated[Decimal, Meta(description="Price of one unit, rounded once.", examples=["45.04"])]
    total: Annotated[Decimal, Meta(description="final_price × quantity.", examples=["540.48"])]
    discount_rate: Annotated[
        Decimal, Meta(description="The membership's share that came off, 0 to 1.", examples=["0.05", "0"])
    ]
    market: Annotated[str, Meta(description="Code of the market applied.", examples=["NY", "DEFAULT"])]
    version: Annotated[int, Meta(description="Version of the price sheet; only grows.", examples=[7])]
    computed_at: Annotated[
        datetime,
        Meta(
            tz=True,
            description="When the published price was decided.",
            examples=["2026-03-01T12:00:00Z"],
        ),
    ]
    valid_until: Annotated[
        Instant | None,
        Meta(
            description="Next instant at which the price is scheduled to change; null: none is.",
            examples=[None],
        ),
    ]
    steps: Annotated[
        tuple[Step, ...] | None,
        Meta(description="The rules applied, in order; only when an explanation was asked for."),
    ] = None
    rejected: Annotated[
        tuple[Rejection, ...] | None,
        Meta(description="What was considered and not used; only when an explanation was asked for."),
    ] = None


def _check_tiers(tiers: tuple[Tier, ...], currency: str) -> None:
    previous = 0
    for index, tier in enumerate(tiers):
        field = f"tiers[{index}]"
        money.amount_in_currency(f"{field}.unit_price", tier.unit_price, currency)
        if (tier.up_to is None) != (index == len(tiers) - 1):
            raise ValueError(f"`{field}.up_to` must be null for the last tier, and only there")
        if tier.up_to is not None:
            if not previous < tier.up_to <= 1_000_000_000:
                raise ValueError(f"`{field}.up_to` must be from {previous + 1} to 1000000000")
            previous = tier.up_to
