"""The decision about one product: a new version of its sheet, or a new state of its price."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from shared.prices import states
from shared.prices.holds import HoldChange
from shared.prices.inputs import PricingInputs
from shared.prices.new_versions import Cause, NewVersion
from shared.prices.states import NewState
from shared.pricing.decision import Decision, changes_target, decide, decides_nothing, kept, sheet_of
from shared.pricing.entries import PriceEntry
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet
from shared.rulebook.store import ActivePolicy


class Setting(NamedTuple):
    """The arguments that all decisions of a batch share.

    Attributes:
        rules: The policy that decides.
        at: The instant of the decisions.
        before: The products before a person's write; empty: automation decides.
        chosen: The prices that a person chose: of approved holds.
    """

    policy: ActivePolicy
    rules: Policy
    at: datetime
    epoch: int
    before: Mapping[str, ProductInput]
    chosen: Mapping[str, Decimal]


class Decided(NamedTuple):
    """A new version with its state, or a new state alone, or nothing; and the change of a hold."""

    version: NewVersion | None = None
    state: NewState | None = None
    hold: HoldChange | None = None


def decided(one: PricingInputs, entries: tuple[PriceEntry, ...], setting: Setting, cause: Cause) -> Decided:
    """Decide about one product."""
    product, last, at = one.product, one.last, setting.at
    state, next_due = one.state, one.next_due
    if (decision := _kept(one, setting)) is None:
        decision = _decision(one, setting)
        state, next_due = states.after(one.state, decision, at), decision.next_due

    def sheet(version: int, computed_at: datetime, entries: tuple[PriceEntry, ...] = entries) -> PriceSheet:
        return sheet_of(
            product,
            decision,
            version=version,
            policy_version=setting.policy.version,
            policy=setting.policy.policy,
            computed_at=computed_at,
            entries=entries,
        )

    document = states.encoded(state)
    hold = None
    if last is not None and state.hold != one.state.hold:
        hold = HoldChange(product.product_id, product.currency, last.published_price, one.state.hold, state.hold)
    if last is None or one.sheet is None:
        first = sheet(one.version + 1, at)
        return Decided(
            NewVersion(first, setting.epoch, None, cause, is_first=not one.is_priced, state=document, next_due=next_due)
        )
    is_same_price = decision.published_price == last.published_price
    if is_same_price and _is_same(sheet(last.version, last.computed_at, last.entries), one.sheet):
        if next_due == one.next_due and states.is_same(state, one.state):
            return Decided()
        return Decided(None, NewState(product.product_id, document, next_due), hold)
    return Decided(
        NewVersion(
            sheet(last.version + 1, at),
            setting.epoch,
            last.published_price,
            cause,
            old_sheet=one.sheet,
            state=document,
            next_due=next_due,
        ),
        None,
        hold,
    )


def _kept(one: PricingInputs, setting: Setting) -> Decision | None:
    """The decision in force, where a person's write changes nothing that a decision reads."""
    before = setting.before.get(one.product.product_id)
    if before is None or one.sheet is None or not decides_nothing(before, one.product):
        return None
    return kept(_sheet.decode(one.sheet))


def _decision(one: PricingInputs, setting: Setting) -> Decision:
    product, rules = one.product, setting.rules
    state = states.input_of(one.state)
    before = setting.before.get(product.product_id)
    chosen = setting.chosen.get(product.product_id)
    by_person = before is not None and changes_target((before, rules), (product, rules), one.signals, state, setting.at)
    return decide(product, one.signals, rules, state, setting.at, by_person=by_person, chosen=chosen)


def _is_same(sheet: PriceSheet, stored: str) -> bool:
    """Whether a sheet equals a stored one; equal amounts may have other trailing zeros."""
    return msgspec.json.encode(sheet).decode() == stored or sheet == _sheet.decode(stored)


_sheet = msgspec.json.Decoder(PriceSheet)
