"""Which events a product's rules read: an event that none of them reads decides nothing."""

from shared.pricing.market_rules import folded
from shared.pricing.policy import Policy, strategy_of
from shared.pricing.product import ProductInput


def is_read(product: ProductInput, policy: Policy, kind: str, source: str = "") -> bool:
    """Whether a rule of the product reads signals of this kind; `source` is the competitor.

    The cost is always read: it is part of the floor, or of the sheet that lists by cost are computed from.
    """
    strategy = policy.strategies[strategy_of(product, policy)[0]]
    if kind == "cost":
        return True
    if kind == "demand":
        return strategy.demand is not None
    if kind == "stock":
        return strategy.stock is not None
    rule = strategy.competitor
    if rule is None:
        return False
    name = source.casefold()
    return name not in folded(rule.own) | folded(rule.except_) and (not rule.only or name in folded(rule.only))
