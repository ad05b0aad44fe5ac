"""The rules as data: a policy is a versioned document, and the shipped default is a constant."""

from decimal import Decimal

from msgspec import Struct

from shared.pricing import money
from shared.pricing.explanation import Rejection
from shared.pricing.money import Rounding
from shared.pricing.product import ProductInput


class CompetitorRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Follow the lowest competitor in stock: `undercut` is the share taken off that price (0: match it).

    The result is held between `lowest` and `highest`, multiples of the list price in [0.01, 100].
    """

    undercut: Decimal = Decimal(0)
    lowest: Decimal
    highest: Decimal

    def __post_init__(self) -> None:
        money.share("undercut", self.undercut)
        _check_range(self.lowest, self.highest)


class DemandRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Multiply by the demand index, held between `lowest` and `highest`, each in [0.01, 100]."""

    lowest: Decimal
    highest: Decimal

    def __post_init__(self) -> None:
        _check_range(self.lowest, self.highest)


class Strategy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The market rules of a product, applied in this order; without rules the list price is published."""

    competitor: CompetitorRule | None = None
    demand: DemandRule | None = None


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of the rules.

    Attributes:
        membership_rate: The share taken off for a member, in [0, 1].
        rounding: The rounding of the unit price, applied once, in a quote.
        max_step: The largest change against the last published price, a share of it in [0, 1]; None: any.
        max_over_list: The ceiling as a multiple of the list price, in [0.01, 100].
        min_margin: The floor is cost × (1 + min_margin); a share of the cost in [0, 1].
        strategies: The strategies by name.
        categories: Category → name of its strategy.
        default_strategy: The name of the strategy of all other categories.

    Raises:
        ValueError: a figure is out of bounds, or a named strategy does not exist; the text starts with the
            field in backticks.
    """

    membership_rate: Decimal = Decimal("0.05")
    rounding: Rounding = "HALF_UP"
    max_step: Decimal | None = None
    max_over_list: Decimal
    min_margin: Decimal
    strategies: dict[str, Strategy]
    categories: dict[str, str] = {}
    default_strategy: str

    def __post_init__(self) -> None:
        money.share("membership_rate", self.membership_rate)
        if self.max_step is not None:
            money.share("max_step", self.max_step)
        money.multiplier("max_over_list", self.max_over_list)
        money.share("min_margin", self.min_margin)
        if self.default_strategy not in self.strategies:
            raise ValueError("`default_strategy` must be one of the strategies")
        for category, name in self.categories.items():
            if name not in self.strategies:
                raise ValueError(f"`categories` must name strategies of the policy, not {name!r} ({category})")


def strategy_of(product: ProductInput, policy: Policy) -> tuple[str, Rejection | None]:
    """The name of the product's strategy: its own, else its category's, else the default.

    A strategy that the policy does not have is not an error: a policy may drop a strategy that products still
    name. The product then has its category's strategy, and the rejection explains that.
    """
    by_category = policy.categories.get(product.category, policy.default_strategy)
    if product.strategy is None:
        return by_category, None
    if product.strategy in policy.strategies:
        return product.strategy, None
    reason = f"the policy has no strategy {product.strategy}; {by_category} is used"
    return by_category, Rejection(rule="strategy", reason=reason)


def _check_range(lowest: Decimal, highest: Decimal) -> None:
    money.multiplier("lowest", lowest)
    money.multiplier("highest", highest)
    if lowest > highest:
        raise ValueError("`lowest` must not be above highest")


_MATCH = CompetitorRule(lowest=Decimal("0.5"), highest=Decimal("1.2"))
_UNDERCUT = CompetitorRule(undercut=Decimal("0.01"), lowest=Decimal("0.5"), highest=Decimal("1.2"))
_DEMAND = DemandRule(lowest=Decimal("0.8"), highest=Decimal("1.25"))

DEFAULT_POLICY = Policy(
    membership_rate=Decimal("0.05"),
    rounding="HALF_UP",
    max_step=Decimal("0.20"),
    max_over_list=Decimal("1.5"),
    min_margin=Decimal("0.05"),
    strategies={
        "list_price": Strategy(),
        "match": Strategy(competitor=_MATCH),
        "undercut": Strategy(competitor=_UNDERCUT),
        "demand": Strategy(demand=_DEMAND),
        "dynamic": Strategy(competitor=_MATCH, demand=_DEMAND),
    },
    categories={"electronics": "match", "grocery": "undercut", "fashion": "demand", "home": "dynamic"},
    default_strategy="list_price",
)
