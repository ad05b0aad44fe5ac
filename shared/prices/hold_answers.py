"""Answers to holds: an approval publishes the held target, a refusal keeps the price until the next decision."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from shared.catalogue import products
from shared.errors import AlreadyEnded, Forbidden, NotFound
from shared.postgres.pools import Conn
from shared.prices import holds, published, states
from shared.prices.holds import HoldFilter, HoldView
from shared.prices.new_versions import Cause
from shared.prices.published import Repriced
from shared.rulebook import store as rulebook

# Holds that one call answers.
MOST = 1_000


class Answer(NamedTuple):
    """The answer of a person, with its reason.

    Attributes:
        key_id: The person's key; None: a command.
        four_eyes: Whether a key that is behind a target may not approve it.
    """

    reason: str
    author: str
    key_id: int | None = None
    four_eyes: bool = False


class Approved(NamedTuple):
    """The approved holds, and the decisions that follow."""

    holds: list[HoldView]
    repriced: Repriced


def chosen(conn: Conn, wanted: HoldFilter) -> list[UUID]:
    """The ids of up to 1,000 open holds, the longest waiting first."""
    return [hold.hold_id for hold in holds.page(conn, "open", wanted, MOST, None)]


def approve(conn: Conn, hold_ids: Sequence[UUID], answer: Answer) -> Approved:
    """Publish the targets of the open ones among these holds, limited by the bounds only.

    Raises:
        AlreadyEnded: a single hold was asked for, and it has ended: the product was written since, or is decided.
        Forbidden: another key must approve one of them.
        NotFound: a single hold was asked for, and there is none.
    """
    found = _locked(conn, hold_ids)
    _check_eyes(found, answer)
    held = {hold.product_id: hold for hold in found}
    holds.answer(conn, [hold.hold_id for hold in found], "approved", answer.reason, answer.author)
    targets = {product_id: hold.target for product_id, hold in held.items()}
    causes = {product_id: Cause("approval", str(hold.hold_id)) for product_id, hold in held.items()}
    return Approved(found, published.publish(conn, targets, causes, rulebook.active_policy(conn)))


def refuse(conn: Conn, hold_ids: Sequence[UUID], answer: Answer) -> list[HoldView]:
    """Keep the prices of the open ones among these holds until the next decision.

    Raises:
        AlreadyEnded: as `approve`.
        NotFound: as `approve`.
    """
    found = _locked(conn, hold_ids)
    holds.answer(conn, [hold.hold_id for hold in found], "refused", answer.reason, answer.author)
    states.end_holds(conn, [hold.product_id for hold in found])
    return found


def _check_eyes(found: Sequence[HoldView], answer: Answer) -> None:
    """Refuse a key that is behind a target; a command has no key, so it approves those alone that no key is behind."""
    if not answer.four_eyes:
        return
    for hold in found:
        if hold.key_ids and answer.key_id in (None, *hold.key_ids):
            own = "the command has no key" if answer.key_id is None else "this key is behind the target"
            raise Forbidden(f"PRICING_FOUR_EYES: another key must approve the hold of {hold.product_id!r}: {own}")


def _locked(conn: Conn, hold_ids: Sequence[UUID]) -> list[HoldView]:
    """The open holds, with their products locked: nothing is decided about them meanwhile."""
    products.lock(conn, [hold.product_id for hold in holds.opened(conn, hold_ids)])
    found = holds.opened(conn, hold_ids)
    if not found and len(hold_ids) == 1:
        if holds.is_known(conn, hold_ids[0]):
            raise AlreadyEnded("the hold has ended: it was answered, is over, or the product was written since")
        raise NotFound(f"no hold {hold_ids[0]}")
    return found
