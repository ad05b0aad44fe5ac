"""The decision about one product: a new version of its sheet, or a new state of its price."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from shared.prices import states
from shared.prices.holds import HoldChange
from shared.prices.inputs import PricingInputs
from shared.prices.lowest_prices import LowestPrices
from shared.prices.new_versions import Cause, NewVersion
from shared.prices.pauses import Pauses
from shared.prices.states import NewState
from shared.pricing.breaker import counts
from shared.pricing.compiled import Terms
from shared.pricing.converted import converted
from shared.pricing.decision import Decision, changes_target, decide, decides_nothing, kept, sheet_of
from shared.pricing.entries import PriceEntry
from shared.pricing.exchange import earliest
from shared.pricing.lowest_price import Low
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput
from shared.pricing.promotion_pause import promotion_pause
from shared.pricing.rulebook import RulebookPolicy
from shared.pricing.sheet import PriceSheet
from shared.pricing.signal import Signal
from shared.pricing.state import Pause
from shared.rulebook.store import ActivePolicy


class Setting(NamedTuple):
    """The arguments that all decisions of a batch share.

    Attributes:
        rules: The policy that decides.
        at: The instant of the write.
        before: The products before a person's write; empty: automation decides.
        chosen: The prices that a person chose: of approved holds.
        is_stopped: Whether the breaker is open.
        terms: The rulebook and the market values in force.
        rules_before: The policy before a person's change of it; None: it stays.
        as_of: The instant of the decisions, where it is not that of the write: a plan's.
        lowest: Finds the lowest prices of the batch; None: those of the sheets stay.
        restores: Whether the chosen prices are earlier ones: rules that ask for the same price explain it.
    """

    policy: ActivePolicy
    rules: Policy
    at: datetime
    epoch: int
    before: Mapping[str, ProductInput]
    chosen: Mapping[str, Decimal]
    is_stopped: bool
    pauses: Pauses
    terms: Terms
    rules_before: Policy | None = None
    as_of: datetime | None = None
    lowest: LowestPrices | None = None
    restores: bool = False


class Decided(NamedTuple):
    """A new version with its state, or a new state alone, or nothing; what becomes of a hold; whether it counts."""

    version: NewVersion | None = None
    state: NewState | None = None
    hold: HoldChange | None = None
    counts: bool = False


def decided(one: PricingInputs, entries: tuple[PriceEntry, ...], setting: Setting, cause: Cause) -> Decided:
    """Decide about one product."""
    product, last, at = one.product, one.last, setting.at
    state, next_due, is_counted = one.state, one.next_due, False
    lows: tuple[Low, ...] = () if last is None else last.lows
    if (decision := _kept(one, setting)) is None:
        decision = _decision(one, setting)
        state, next_due = states.after(one.state, decision, at), decision.next_due
        is_counted = not setting.is_stopped and counts(setting.rules.breaker, decision, one.state.past, at)

    def sheet(
        version: int,
        computed_at: datetime,
        entries: tuple[PriceEntry, ...] = entries,
        policy_version: int = setting.policy.version,
    ) -> PriceSheet:
        return sheet_of(
            product,
            decision,
            version=version,
            policy_version=policy_version,
            policy=setting.policy.policy,
            computed_at=computed_at,
            entries=entries,
            lows=lows,
        )

    if (lowest := setting.lowest) is not None:
        if lowest.is_needed:
            lows, due = lowest.of(sheet(one.version, at), lows)
            next_due = earliest(next_due, due)
        else:
            lows = ()
    hold = None
    if last is not None and state.hold != one.state.hold:
        price, keys = last.published_price, cause.key_ids
        hold = HoldChange(product.product_id, product.currency, price, one.state.hold, state.hold, keys)
    if last is None or one.sheet is None:
        first = NewVersion(
            sheet(one.version + 1, at),
            setting.epoch,
            None,
            cause,
            is_first=not one.is_priced,
            state=states.encoded(state),
            next_due=next_due,
        )
        return Decided(first)
    is_same_price = decision.published_price == last.published_price
    # The rulebook's version is recorded, never compared: a sheet that says the same keeps its version.
    same = is_same_price and sheet(last.version, last.computed_at, last.entries, last.policy_version)
    if same and _is_same(same, one.sheet):
        if next_due == one.next_due and states.is_same(state, one.state):
            return Decided(counts=is_counted)
        return Decided(None, NewState(product.product_id, states.encoded(state), next_due), hold, is_counted)
    return Decided(
        NewVersion(
            sheet(last.version + 1, at),
            setting.epoch,
            last.published_price,
            cause,
            old_sheet=one.sheet,
            state=states.encoded(state),
            next_due=next_due,
        ),
        None,
        hold,
        is_counted,
    )


def _kept(one: PricingInputs, setting: Setting) -> Decision | None:
    """The decision in force, where a person's write changes nothing that a decision reads."""
    before = setting.before.get(one.product.product_id)
    if before is None or one.sheet is None or setting.rules_before not in (None, setting.rules):
        return None
    if not decides_nothing(before, one.product):
        return None
    return kept(_sheet.decode(one.sheet))


def _decision(one: PricingInputs, setting: Setting) -> Decision:
    """The decision; it is due again where a rate changes by which an offer is converted."""
    at, signals, until = setting.as_of or setting.at, one.signals, None
    if isinstance(setting.rules, RulebookPolicy) and setting.rules.convert:
        signals, until = converted(signals, one.product.currency, setting.terms.values, at)
    decision = _decided(one, signals, setting, at)
    return decision if until is None else replace(decision, next_due=earliest(decision.next_due, until))


def _decided(one: PricingInputs, signals: Sequence[Signal], setting: Setting, at: datetime) -> Decision:
    product, rules = one.product, setting.rules
    state = states.input_of(one.state, _pauses(product, setting, at), is_stopped=setting.is_stopped)
    before = setting.before.get(product.product_id)
    chosen = setting.chosen.get(product.product_id)
    if setting.restores:
        decision = decide(product, one.signals, rules, state, at, by_person=True)
        if decision.published_price == chosen:
            return decision
    if setting.rules_before is None:
        by_person = before is not None and changes_target((before, rules), (product, rules), signals, state, at)
        return decide(product, signals, rules, state, at, by_person=by_person, chosen=chosen)
    # Of a whole catalogue: where automation reaches its target now, a person's decision would be the same.
    decision = decide(product, signals, rules, state, at, chosen=chosen)
    if decision.waits is None or before is None:
        return decision
    changed = changes_target((before, setting.rules_before), (product, rules), signals, state, at)
    return decide(product, signals, rules, state, at, by_person=True) if changed else decision


def _pauses(product: ProductInput, setting: Setting, at: datetime) -> tuple[Pause, ...]:
    """The pauses by persons, and the one by a promotion whose window is open."""
    pauses = setting.pauses.of(product.product_id, product.category)
    if not setting.rules.pause_in_promotion or not setting.terms.rules.rulebook.promotions:
        return pauses
    in_promotion = promotion_pause(setting.terms.rules, product, at)
    return pauses if in_promotion is None else (*pauses, in_promotion)


def _is_same(sheet: PriceSheet, stored: str) -> bool:
    """Whether a sheet equals a stored one; equal amounts may have other trailing zeros."""
    return msgspec.json.encode(sheet).decode() == stored or sheet == _sheet.decode(stored)


_sheet = msgspec.json.Decoder(PriceSheet)
