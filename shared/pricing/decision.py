"""The background decision: from list price and market signals to the published price and its sheet."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from sys import intern

from msgspec import Struct

from shared.pricing.entries import PriceEntry
from shared.pricing.explanation import Rejection, Step
from shared.pricing.market_rules import CompetitorRule, DemandRule
from shared.pricing.money import ceil_to, exact, floor_to, percent, plain, round_to, shown, trimmed
from shared.pricing.policy import Policy, strategy_of
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet
from shared.pricing.signal import Signal

_INDEX_UNIT = Decimal("0.0001")
_ZERO = Decimal(0)


class Decision(Struct, frozen=True, kw_only=True):
    """The published price of one product, its bounds, and its explanation; amounts are in the product's currency."""

    published_price: Decimal
    floor: Decimal
    ceiling: Decimal | None
    steps: tuple[Step, ...]
    rejected: tuple[Rejection, ...]


def decide(product: ProductInput, signals: Sequence[Signal], policy: Policy, previous: Decimal | None) -> Decision:
    """Decide the published price: list price → competitors → demand → largest step → ceiling → floor.

    `previous` is the last published price in the product's currency; None where there is none, or where the
    currency changed. The floor always wins, also over the step and the ceiling. The order of `signals` does not
    matter.

    The published price is not rounded here, but once, when it is quoted. Its digits are bounded all the same: list
    price, undercut and index have at most 4 decimals each, so their product has at most 12. The bounds of a step are
    in whole minor units.
    """
    with exact():
        draft = _Draft(product, policy)
        strategy = policy.strategies[draft.strategy]
        ordered = sorted(signals, key=_order) if len(signals) > 1 else signals
        if strategy.competitor is not None:
            _follow_competitors(draft, strategy.competitor, ordered)
        if strategy.demand is not None:
            _follow_demand(draft, strategy.demand, ordered)
        _limit_step(draft, policy.max_step, previous)
        floor, ceiling = _floor(product, policy), _ceiling(product, policy)
        if ceiling is not None and draft.price > ceiling:
            draft.move("ceiling", ceiling, f"not above {ceiling}")
        if draft.price < floor:
            draft.move("floor", floor, f"not below {floor}")
        return draft.decision(floor, ceiling)


def sheet_of(
    product: ProductInput,
    decision: Decision,
    *,
    version: int,
    policy_version: int,
    policy: Policy,
    computed_at: datetime,
    entries: tuple[PriceEntry, ...] = (),
) -> PriceSheet:
    """Everything a quote needs, from one decision; `computed_at` is aware, in UTC."""
    return PriceSheet(
        product_id=product.product_id,
        version=version,
        policy_version=policy_version,
        currency=product.currency,
        list_price=round_to(product.base_price, product.currency),
        published_price=decision.published_price,
        floor=decision.floor,
        ceiling=decision.ceiling,
        tiers=product.tiers,
        membership_rate=policy.membership_rate,
        rounding=policy.rounding,
        computed_at=computed_at,
        steps=decision.steps,
        rejected=decision.rejected,
        max_price=None if product.max_price is None else floor_to(product.max_price, product.currency),
        # Interned: msgspec leaves out a default only where it is the same object.
        category=intern(product.category),
        brand=product.brand,
        tags=product.tags,
        cost=product.cost,
        content=product.content,
        tax_class=intern(product.tax_class),
        quantity_step=product.quantity_step,
        price_decimals=product.price_decimals,
        map_price=product.map_price,
        entries=entries,
    )


def floor_of(product: ProductInput, policy: Policy) -> Decimal:
    """The higher of min_price and cost × (1 + min_margin), up to the minor unit; 0 where neither is known."""
    with exact():
        return _floor(product, policy)


def ceiling_of(product: ProductInput, policy: Policy) -> Decimal | None:
    """The lower of max_price and list price × max_over_list, down to the minor unit.

    A list price of 0 sets no bound: the ceiling is then max_price, or None.
    """
    with exact():
        return _ceiling(product, policy)


def _floor(product: ProductInput, policy: Policy) -> Decimal:
    by_cost = _ZERO if product.cost is None else product.cost * (1 + policy.min_margin)
    return ceil_to(by_cost if product.min_price is None else max(by_cost, product.min_price), product.currency)


def _ceiling(product: ProductInput, policy: Policy) -> Decimal | None:
    bound = product.base_price * policy.max_over_list if product.base_price else None
    if product.max_price is not None:
        bound = product.max_price if bound is None else min(bound, product.max_price)
    return None if bound is None else floor_to(bound, product.currency)


class _Draft:
    """A price between two rules, with the explanation of the rules so far."""

    def __init__(self, product: ProductInput, policy: Policy) -> None:
        self.strategy, unknown = strategy_of(product, policy)
        self.list_price = self.price = product.base_price
        self.currency = product.currency
        self.steps: list[Step] = []
        self.rejected: list[Rejection] = [] if unknown is None else [unknown]
        self.move("list_price", self.price, f"list price; strategy {self.strategy}")

    def move(self, rule: str, price: Decimal, reason: str) -> None:
        before = self.steps[-1].after if self.steps else shown(self.price, self.currency)
        self.steps.append(Step(rule=rule, before=before, after=shown(price, self.currency), reason=reason))
        self.price = price

    def reject(self, rule: str, reason: str) -> None:
        self.rejected.append(Rejection(rule=rule, reason=reason))

    def decision(self, floor: Decimal, ceiling: Decimal | None) -> Decision:
        return Decision(
            published_price=trimmed(self.price, self.currency),
            floor=floor,
            ceiling=ceiling,
            steps=tuple(self.steps),
            rejected=tuple(self.rejected),
        )


def _order(signal: Signal) -> tuple[str, Decimal, str, str, bool]:
    return signal.kind, signal.value, signal.source, signal.currency or "", signal.in_stock


def _follow_competitors(draft: _Draft, rule: CompetitorRule, signals: Iterable[Signal]) -> None:
    competitors = _usable_competitors(draft, signals)
    if not competitors:
        draft.reject("competitor", f"no competitor in stock with a price in {draft.currency}")
        return
    competitor = competitors[0]
    wanted = competitor.value * (1 - rule.undercut)
    price = _held(wanted, draft.list_price * rule.lowest, draft.list_price * rule.highest)
    reason = f"lowest competitor {competitor.source} at {shown(competitor.value, draft.currency)}"
    if rule.undercut:
        reason += f", {percent(rule.undercut)} less"
    if price != wanted:
        reason += f", held to {plain(rule.lowest)} – {plain(rule.highest)} × list price"
    draft.move("competitor", price, reason)


def _usable_competitors(draft: _Draft, signals: Iterable[Signal]) -> list[Signal]:
    usable = []
    for competitor in (signal for signal in signals if signal.kind == "competitor"):
        if not competitor.in_stock:
            draft.reject("competitor", f"{competitor.source} is out of stock")
        elif competitor.currency != draft.currency:
            draft.reject("competitor", f"{competitor.source} sells in {competitor.currency}, not in {draft.currency}")
        elif not competitor.value:
            draft.reject("competitor", f"{competitor.source} asks 0, which is nobody's price")
        else:
            usable.append(competitor)
    return usable


def _follow_demand(draft: _Draft, rule: DemandRule, signals: Iterable[Signal]) -> None:
    indexes = [signal.value for signal in signals if signal.kind == "demand"]
    if not indexes:
        draft.reject("demand", "no demand index known")
        return
    # All sources have the same weight; four decimals keep the price's digits bounded.
    index = (sum(indexes, Decimal(0)) / len(indexes)).quantize(_INDEX_UNIT, ROUND_HALF_UP)
    factor = _held(index, rule.lowest, rule.highest)
    reason = f"demand index {plain(index)}"
    if len(indexes) > 1:
        reason += f", the mean of {len(indexes)}"
    if factor != index:
        reason += f", held to {plain(factor)}"
    draft.move("demand", draft.price * factor, reason)


def _limit_step(draft: _Draft, max_step: Decimal | None, previous: Decimal | None) -> None:
    """Limit the step. Bounds are rounded outward: a step of one minor unit is always possible, and digits stay few."""
    if max_step is None or previous is None or previous == draft.price:
        return
    if previous == 0:
        draft.reject("max_step", "the last price was 0: the step has no limit")
        return
    lowest = floor_to(previous * (1 - max_step), draft.currency)
    highest = ceil_to(previous * (1 + max_step), draft.currency)
    price = _held(draft.price, lowest, highest)
    if price != draft.price:
        last = shown(previous, draft.currency)
        draft.move("max_step", price, f"at most {percent(max_step)} from the last price {last}")


def _held(value: Decimal, lowest: Decimal, highest: Decimal) -> Decimal:
    return min(max(value, lowest), highest)
