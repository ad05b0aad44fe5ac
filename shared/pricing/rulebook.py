"""The rulebook: everything that people decide and that is not per product, as one document."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from shared.pricing import currencies, money
from shared.pricing.conditions import Condition
from shared.pricing.endings import LARGEST_STEP, SMALLEST_STEP, Ending
from shared.pricing.market import DEFAULT_MARKET_CODE
from shared.pricing.policy import DEFAULT_POLICY, Policy
from shared.pricing.product import MAX_CATEGORY, ProductId
from shared.pricing.text import clean_text

Form = Literal["gross", "net"]
PartId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Names = Annotated[tuple[Name, ...], Meta(min_length=1)]
Categories = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=MAX_CATEGORY)], ...], Meta(min_length=1)]
Priority = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
Decimals = Annotated[int, Meta(ge=0, le=6)]
Measure = Literal["kg", "l", "m", "m2", "piece"]

_PERCENT = Decimal(100)
_ANY = money.MAX_AMOUNT


class RulebookPolicy(Policy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy with the fields that quotes read; a document of a policy alone stays valid.

    Attributes:
        stacking: Whether all promotions that fit apply, by priority, or the best one alone.
        rounds: Whether the unit price is rounded and multiplied, or the whole line is rounded.
        convert: Whether a price in another currency may be computed by an exchange rate.
        amounts: Whether amounts of products, lists and promotions are written with tax.
        home_market: The market whose tax rates are in those amounts.
        unknown_market: Whether a query from an unknown market is quoted in the default one, or refused.
        ending: The ending of published and converted prices; None: none.
    """

    stacking: Literal["all", "best"] = "all"
    rounds: Literal["unit", "line"] = "unit"
    convert: bool = False
    amounts: Form = "gross"
    home_market: Name = DEFAULT_MARKET_CODE
    unknown_market: Literal["default", "refuse"] = "default"
    ending: Ending | None = None


class MarketRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One market, without its multiplier, which is a market value.

    Attributes:
        currency: The currency of queries that name none; None: the product's.
        zone: The IANA zone of its days.
        show: Whether prices are shown with tax.
        keep: The form in which a price stays the same where the market's tax rate differs from home's.
        tax_rates: Tax class → rate, a share in [0, 1]; empty: no tax is computed.
        cash_step: The smallest coin: totals paid in cash are a multiple of it.
    """

    currency: str | None = None
    zone: str = "UTC"
    show: Form = "gross"
    keep: Form = "gross"
    tax_rates: dict[Name, Decimal] = {}
    lowest_price_days: Annotated[int, Meta(ge=1, le=366)] = 30
    lowest_price_mode: Literal["before_reduction", "rolling"] = "before_reduction"
    progressive: bool = False
    unit_price_per: tuple[Measure, ...] = ("kg", "l")
    cash_step: Decimal | None = None

    def __post_init__(self) -> None:
        if self.currency is not None:
            currencies.known_currency("currency", self.currency)
        for name, rate in self.tax_rates.items():
            money.share(f"tax_rates.{name}", rate)
        if self.cash_step is not None:
            money.number("cash_step", self.cash_step, SMALLEST_STEP, LARGEST_STEP)


class AppliesTo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The products that are named, or in one of the categories, or of one of the brands, or have one of the tags."""

    products: Annotated[tuple[ProductId, ...], Meta(min_length=1)] | None = None
    categories: Categories | None = None
    brands: Names | None = None
    tags: Names | None = None

    def __post_init__(self) -> None:
        if self.products is self.categories is self.brands is self.tags is None:
            raise ValueError(
                "`products` must be given, or categories, brands or tags; for everything, leave applies_to out"
            )


class OfList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price that another list has for the product."""

    list: PartId


class Adjustment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A price by formula: the base, less percent or amount, to a multiple, plus a surcharge, within margins.

    `percent` and `amount` are taken off; negative ones are added. `amount`, `multiple_of` and `plus` are in the list's
    currency, else in the product's. `min_margin` and `max_margin` are shares over the cost, in [0, 100]. The result is
    never below 0, and 0 stays 0.
    """

    of: Literal["published", "list_price", "cost"] | OfList = "published"
    percent: Decimal | None = None
    amount: Decimal | None = None
    applies_to: AppliesTo | None = None
    multiple_of: Decimal | None = None
    plus: Decimal = Decimal(0)
    min_margin: Decimal | None = None
    max_margin: Decimal | None = None

    @property
    def has_amounts(self) -> bool:
        """Whether it has amounts of a currency, not shares alone."""
        return bool(self.amount or self.multiple_of or self.plus)

    def __post_init__(self) -> None:
        if self.percent is not None and self.amount is not None:
            raise ValueError("`percent` must not stand beside amount; leave one of them out")
        if self.percent is not None:
            money.number("percent", self.percent, -100 * _PERCENT, _PERCENT, 4)
        if self.amount is not None:
            money.number("amount", self.amount, -_ANY, _ANY)
        if self.multiple_of is not None:
            money.number("multiple_of", self.multiple_of, SMALLEST_STEP, LARGEST_STEP)
        money.number("plus", self.plus, -_ANY, _ANY)
        for name in ("min_margin", "max_margin"):
            if (value := getattr(self, name)) is not None:
                money.number(name, value, Decimal(0), _PERCENT, 4)
        if self.min_margin is not None and self.max_margin is not None and self.min_margin > self.max_margin:
            raise ValueError("`min_margin` must not be above max_margin")


class InWindow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A window as written, and as instants: `opens` and `closes` are computed at the write and replace any others."""

    from_: str | None = None
    until: str | None = None
    zone: str = "UTC"
    opens: Annotated[datetime, Meta(tz=True)] | None = None
    closes: Annotated[datetime, Meta(tz=True)] | None = None


class PriceList(InWindow, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """The header of a price list; its entries are stored by product.

    Attributes:
        kind: `override` replaces the reference price; `sale` counts only below it.
        currency: The currency of its amounts; None: the product's.
        combinable: Whether promotions and membership come off its prices.
        ending: Whether the policy's ending applies to its prices.
        below_floor: `clamp` keeps the floor, `charge` charges the list's figure all the same.
        price_decimals: Decimals of its unit prices; None: the product's.
        revision: The revision of its entries that is in force; the loading of entries writes it, never a person.
    """

    id: PartId
    name: Annotated[str, Meta(max_length=200)] = ""
    kind: Literal["override", "sale"]
    currency: str | None = None
    priority: Priority = 0
    conditions: tuple[Condition, ...] = ()
    combinable: bool = True
    ending: bool = False
    below_floor: Literal["clamp", "charge"] = "clamp"
    price_decimals: Decimals | None = None
    adjustment: Adjustment | None = None
    revision: Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)] = 0

    def __post_init__(self) -> None:
        clean_text("id", self.id)
        clean_text("name", self.name)
        if self.currency is not None:
            currencies.known_currency("currency", self.currency)


class Promotion(InWindow, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A share or an amount per unit off the running price, or off the reference price.

    An exclusive promotion that fits applies alone, without membership. `amount` is in `currency`.
    """

    id: PartId
    name: Annotated[str, Meta(max_length=200)] = ""
    priority: Priority = 0
    exclusive: bool = False
    percent: Decimal | None = None
    amount: Decimal | None = None
    currency: str | None = None
    of: Literal["price", "reference"] = "price"
    applies_to: AppliesTo | None = None
    conditions: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        clean_text("id", self.id)
        clean_text("name", self.name)
        if (self.percent is None) == (self.amount is None):
            raise ValueError("`percent` must be given, or amount with its currency; one of the two")
        if self.percent is not None:
            money.number("percent", self.percent, Decimal(0), _PERCENT, 4)
        if self.amount is not None:
            money.number("amount", self.amount, Decimal(0), _ANY)
        if (self.amount is None) != (self.currency is None):
            raise ValueError("`currency` must be given with amount, and only with it")
        if self.currency is not None:
            currencies.known_currency("currency", self.currency)


class Rulebook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Policy, markets, headers of price lists, and promotions; neutral where nothing is written."""

    policy: RulebookPolicy = RulebookPolicy(
        **{name: getattr(DEFAULT_POLICY, name) for name in Policy.__struct_fields__}
    )
    markets: dict[Name, MarketRules] = field(default_factory=lambda: {DEFAULT_MARKET_CODE: MarketRules()})
    price_lists: tuple[PriceList, ...] = ()
    promotions: tuple[Promotion, ...] = ()


NEUTRAL = Rulebook()
