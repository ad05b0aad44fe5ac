"""The target of a decision: list price → competitors → demand → stock → cost-plus → bounds."""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from shared.pricing import competitors
from shared.pricing.draft import Draft
from shared.pricing.market_rules import CostPlusRule, DemandRule, StockRule
from shared.pricing.money import percent, plain, shown
from shared.pricing.policy import Policy, strategy_of
from shared.pricing.prepared import Prepared
from shared.pricing.price_bounds import PriceBounds
from shared.pricing.product import ProductInput
from shared.pricing.signal import Signal

_ONE = Decimal(1)
_UNIT = Decimal("0.0001")
_MOST_STOCKS = 10_000


def draft_of(product: ProductInput, policy: Policy) -> tuple[Draft, str]:
    """A draft at the list price, and the name of the product's strategy."""
    name, unknown = strategy_of(product, policy)
    draft = Draft(product.base_price, product.currency, f"list price; strategy {name}", product.price_decimals)
    if unknown is not None:
        draft.rejected.append(unknown)
    return draft, name


def apply_rules(
    draft: Draft,
    product: ProductInput,
    name: str,
    policy: Policy,
    signals: Sequence[Signal],
    bounds: PriceBounds,
    last: Decimal | None,
    at: datetime,
) -> None:
    """Move the price by the rules of the strategy `name`, in their order; `last` is the price in force."""
    strategy = policy.strategies[name]
    if strategy.competitor is not None and not competitors.follow(
        draft, strategy.competitor, signals, bounds, last, at
    ):
        return
    if strategy.demand is not None:
        _follow_demand(draft, strategy.demand, signals, at)
    if strategy.stock is not None:
        _follow_stock(draft, strategy.stock, product.stock)
    if strategy.cost_plus is not None:
        _add_to_cost(draft, strategy.cost_plus, product.cost)


def _follow_demand(draft: Draft, rule: DemandRule, signals: Sequence[Signal], at: datetime) -> None:
    indexes = []
    expired = []
    for signal in signals:
        if signal.kind == "demand":
            if signal.expires_at is not None and signal.expires_at <= at:
                expired.append(f"{signal.source}: index expired at {signal.expires_at.isoformat()}")
            else:
                indexes.append(signal.value)
                draft.due(signal.expires_at)
    for reason in sorted(expired):
        draft.reject("demand", "stale_signal", reason)
    if not indexes:
        draft.reject("demand", "no_signal", "no demand index known")
        return
    # All sources have the same weight; four decimals keep the price's digits bounded.
    index = indexes[0]
    if len(indexes) > 1:
        index = (sum(indexes) / Decimal(len(indexes))).quantize(_UNIT, ROUND_HALF_UP)
    factor, reason = index, f"demand index {plain(index)}"
    if len(indexes) > 1:
        reason += f", the mean of {len(indexes)}"
    if index < rule.lowest or index > rule.highest:
        factor = min(max(index, rule.lowest), rule.highest)
        reason += f", held to {plain(factor)}"
    draft.move("demand", draft.price * factor, reason)


def _follow_stock(draft: Draft, rule: StockRule, stock: int | None) -> None:
    if stock is None:
        draft.reject("stock", "no_signal", "the stock is not counted")
        return
    factor, reason = _stocks.of(rule).at(stock)
    draft.move("stock", draft.price * factor, reason)


def multiplier_at(rule: StockRule, stock: int) -> Decimal:
    """The multiplier at a stock, with at most four decimals; call it in `exact()`."""
    before = rule.points[0]
    if stock <= before.stock:
        return before.multiplier
    for point in rule.points:
        if stock <= point.stock:
            part = Decimal(stock - before.stock) / (point.stock - before.stock)
            rise = (point.multiplier - before.multiplier) * part
            return (before.multiplier + rise).quantize(_UNIT, ROUND_HALF_UP)
        before = point
    return before.multiplier


class _Stocks:
    """The multipliers of a stock rule with their reasons: many products have the same stock."""

    def __init__(self, rule: StockRule) -> None:
        self._rule = rule
        self._known: dict[int, tuple[Decimal, str]] = {}

    def at(self, stock: int) -> tuple[Decimal, str]:
        """The multiplier at a stock, and the reason of its step; threads may share this."""
        if (held := self._known.get(stock)) is not None:
            return held
        if len(self._known) >= _MOST_STOCKS:
            self._known.clear()
        factor = multiplier_at(self._rule, stock)
        self._known[stock] = made = factor, f"stock {stock} × {plain(factor)}"
        return made


_stocks = Prepared(_Stocks)


def _add_to_cost(draft: Draft, rule: CostPlusRule, cost: Decimal | None) -> None:
    if cost is None:
        draft.reject("cost_plus", "no_cost", "no cost known")
        return
    reason = f"cost {shown(cost, draft.currency)}, {percent(rule.markup)} more"
    draft.move("cost_plus", cost * (_ONE + rule.markup), reason)
