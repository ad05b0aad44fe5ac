"""The rules as data: a policy is a versioned document, and the shipped default is a constant."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.pricing import money
from shared.pricing.change_limits import ChangeLimits
from shared.pricing.explanation import Rejection
from shared.pricing.market_rules import CompetitorRule, DemandRule, Strategy
from shared.pricing.money import Rounding
from shared.pricing.product import ProductInput

Automation = Literal["on", "observe"]


class Breaker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When automation stops itself: too many products move too far within a time.

    Attributes:
        share: The share of the catalogue that may move, in [0, 1]; 1: the breaker counts, and never opens.
        min_products: The products that may move in any case.
        change: The change against a product's own price `window_s` ago from which it counts, a share in [0, 100].
        window_s: The time in which products are counted, in seconds.
    """

    share: Decimal = Decimal("0.02")
    min_products: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 50
    change: Decimal = Decimal("0.3")
    window_s: Annotated[int, Meta(ge=1, le=86_400)] = 3600

    def __post_init__(self) -> None:
        money.share("share", self.share)
        money.number("change", self.change, Decimal(0), Decimal(100), 4)


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
        change_limits: How far and how often automation moves a price; `max_step` sets both of its steps.
        below_cost: Whether cost × (1 + min_margin) is part of the floor; with `hold` an automated price below it waits
            for a person, with `allow` the floor is the product's `min_price` alone.
        hold_above: An automated target further than this from the price in force waits for a person, a share of that
            price in [0, 100]; None: none does.
        hold_expires_h: The hours after which a hold ends by itself.
        breaker: When automation stops itself.
        automation: Whether automation publishes its decisions, or only makes and records them (`observe`); or that by
            category, the others being on.
        pause_in_promotion: Whether automation waits while a promotion for the product is open.
        max_offer_s: The longest time for which a price may be guaranteed, in seconds; 0: none is.

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
    change_limits: ChangeLimits = ChangeLimits()
    below_cost: Literal["clamp", "hold", "allow"] = "clamp"
    hold_above: Decimal | None = Decimal("0.5")
    hold_expires_h: Annotated[int, Meta(ge=1, le=8784)] = 72
    breaker: Breaker = Breaker()
    automation: Automation | dict[str, Automation] = "on"
    pause_in_promotion: bool = False
    max_offer_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 3600

    def __post_init__(self) -> None:
        money.share("membership_rate", self.membership_rate)
        if self.max_step is not None:
            money.share("max_step", self.max_step)
            if self.change_limits.max_step_up is not None or self.change_limits.max_step_down is not None:
                raise ValueError("`max_step` must not stand beside max_step_up or max_step_down of change_limits")
        money.multiplier("max_over_list", self.max_over_list)
        money.share("min_margin", self.min_margin)
        if self.hold_above is not None:
            money.number("hold_above", self.hold_above, Decimal(0), Decimal(100), 4)
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
    return by_category, Rejection(rule="strategy", code="unknown_strategy", reason=reason)


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
