"""The background decision: from list price and market signals to the published price and its sheet."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from sys import intern

from msgspec import Struct

from shared.pricing.draft import Draft
from shared.pricing.entries import PriceEntry
from shared.pricing.explanation import Rejection, Step
from shared.pricing.lowest_price import Low
from shared.pricing.money import exact, floor_to, round_to, trimmed
from shared.pricing.movement import Waits, limit
from shared.pricing.policy import Policy
from shared.pricing.price_bounds import PriceBounds, bounds_of
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet
from shared.pricing.signal import Signal
from shared.pricing.state import Hold, ManualPrice, PriceState, is_over
from shared.pricing.target import apply_rules, draft_of

_FACTS = ("currency", "base_price", "cost", "stock", "min_price", "max_price", "category", "strategy", "price_decimals")


class Decision(Struct, frozen=True, gc=False, kw_only=True):
    """The published price of one product, its bounds, and its explanation; amounts are in the product's currency.

    Attributes:
        target: The price that the rules ask for, within the bounds.
        waits: Why the published price is not the target; None: it is, or only the bounds are between them.
        hold: The hold that is open from now on; any other one of the product has ended.
        approved: The target below the cost that stays approved.
        is_automated: Whether automation decided, not a person.
        next_due: The next instant at which an input changes by itself: decide again then. None: none is known.
    """

    published_price: Decimal
    floor: Decimal
    ceiling: Decimal | None
    steps: tuple[Step, ...]
    rejected: tuple[Rejection, ...]
    target: Decimal
    waits: Waits | None = None
    hold: Hold | None = None
    approved: Decimal | None = None
    is_automated: bool = True
    next_due: datetime | None = None


def decide(
    product: ProductInput,
    signals: Sequence[Signal],
    policy: Policy,
    state: PriceState,
    at: datetime,
    *,
    by_person: bool = False,
    chosen: Decimal | None = None,
) -> Decision:
    """Decide the published price: list price → competitors → demand → stock → cost-plus → bounds = the target.

    Then pauses, holds and change limits say how far automation goes towards it now, and the bounds follow again. The
    floor always wins. The order of `signals` does not matter. A product without a price gets its target at once.

    A person's decision is limited by the bounds only. Pass `by_person` for a write where `changes_target`; pass the
    price itself as `chosen` for an approval or an undo. A manual price of the state precedes everything.

    The published price is not rounded here, but once, when it is quoted. Its digits are bounded all the same: an offer
    has 4 decimals, a position adds 6, demand and stock add 4 each, and limits are in whole minor units.
    """
    with exact():
        draft, strategy = draft_of(product, policy)
        approved = chosen if chosen is not None and policy.below_cost == "hold" else state.approved
        bounds = bounds_of(product, policy, approved)
        floor, last = bounds.floor, state.price
        manual = state.manual
        if manual is not None and not is_over(manual.until, at):
            by_person = True
            floor = _manual(draft, manual, bounds)
        elif chosen is not None:
            by_person = True
            draft.move("chosen", chosen, "a person's choice")
        else:
            apply_rules(draft, product, strategy, policy, signals, bounds, last, at)
            bounds.keep(draft, bounds.least)
        target, waits, hold = draft.price, None, None
        if not by_person and last is not None and last != target:
            waits, hold = limit(draft, product.category, policy, bounds, state, last, at)
        bounds.keep(draft, floor)
        if approved is not None and target >= bounds_of(product, policy).floor:
            approved = None  # the cost asks for no approval any more
        published = trimmed(draft.price, product.currency)
        return Decision(
            published_price=published,
            floor=floor,
            ceiling=bounds.ceiling,
            steps=tuple(draft.steps),
            rejected=tuple(draft.rejected),
            target=published if target is draft.price else trimmed(target, product.currency),
            waits=waits,
            hold=hold,
            approved=approved,
            is_automated=not by_person,
            next_due=draft.next_due,
        )


def changes_target(
    before: tuple[ProductInput, Policy],
    after: tuple[ProductInput, Policy],
    signals: Sequence[Signal],
    state: PriceState,
    at: datetime,
) -> bool:
    """Whether a person's change of product or policy changes the target under the same signals.

    Where it does, the decision is the person's. Where it does not, change limits, holds and pauses go on as they were.
    """
    if before == after:
        return False
    if before[0].currency != after[0].currency:
        return True
    first, second = (_target(product, signals, policy, state, at) for product, policy in (before, after))
    return first != second


def decides_nothing(before: ProductInput, after: ProductInput) -> bool:
    """Whether a write leaves all facts that a decision reads: it then decides nothing, and `kept` has the price."""
    return all(getattr(before, fact) == getattr(after, fact) for fact in _FACTS)


def kept(sheet: PriceSheet) -> Decision:
    """The decision of a sheet, for a sheet of the same price with other facts."""
    return Decision(
        published_price=sheet.published_price,
        floor=sheet.floor,
        ceiling=sheet.ceiling,
        steps=sheet.steps,
        rejected=sheet.rejected,
        target=sheet.published_price,
    )


def _target(
    product: ProductInput, signals: Sequence[Signal], policy: Policy, state: PriceState, at: datetime
) -> Decimal:
    with exact():
        draft, strategy = draft_of(product, policy)
        bounds = bounds_of(product, policy, state.approved)
        apply_rules(draft, product, strategy, policy, signals, bounds, state.price, at)
        bounds.keep(draft, bounds.least)
        return draft.price


def _manual(draft: Draft, manual: ManualPrice, bounds: PriceBounds) -> Decimal:
    """Set the manual price; returns the floor beside it."""
    draft.due(manual.until)
    draft.move("manual_price", manual.price, f"manual price: {manual.reason}")
    return min(bounds.floor, manual.price) if manual.below_floor else bounds.floor


def sheet_of(
    product: ProductInput,
    decision: Decision,
    *,
    version: int,
    policy_version: int,
    policy: Policy,
    computed_at: datetime,
    entries: tuple[PriceEntry, ...] = (),
    lows: tuple[Low, ...] = (),
) -> PriceSheet:
    """Everything a quote needs, from one decision; `computed_at` is aware, in UTC."""
    decimals = product.price_decimals
    return PriceSheet(
        product_id=product.product_id,
        version=version,
        policy_version=policy_version,
        currency=product.currency,
        list_price=round_to(product.base_price, product.currency, decimals=decimals),
        published_price=decision.published_price,
        floor=decision.floor,
        ceiling=None if product.max_price is None else floor_to(product.max_price, product.currency, decimals),
        tiers=product.tiers,
        membership_rate=policy.membership_rate,
        rounding=policy.rounding,
        computed_at=computed_at,
        steps=decision.steps,
        rejected=decision.rejected,
        # Interned: msgspec leaves out a default only where it is the same object.
        category=intern(product.category),
        brand=product.brand,
        tags=product.tags,
        cost=product.cost,
        content=product.content,
        tax_class=intern(product.tax_class),
        quantity_step=product.quantity_step,
        price_decimals=decimals,
        map_price=product.map_price,
        entries=entries,
        lows=lows,
    )
