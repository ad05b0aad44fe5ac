"""An undo as a plan: the prices that are restored, decided with the code of publication."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from shared.catalogue.product_set import ProductFilter
from shared.plans import application, planning
from shared.plans.application import Published
from shared.plans.proposal import Proposal, Work
from shared.plans.store import Item, Part, Stored
from shared.plans.undo import Undo
from shared.postgres.pools import Conn
from shared.prices import pauses, states, undone
from shared.prices.batches import Batch, Made, is_decided
from shared.prices.gathering import Gathered, gather
from shared.prices.inputs import PricingInputs
from shared.prices.new_versions import Cause
from shared.prices.undone import Restored
from shared.pricing.decision import decide
from shared.rulebook import store as rulebook


class Undone(NamedTuple):
    """The decisions of an undo.

    Attributes:
        notes: What becomes of each product that it concerns: `restored`, `paused` too, `left` or `created`.
        restored: The new versions that restore a price.
    """

    made: Made
    notes: dict[str, str]
    restored: list[Restored]


def plan_part(conn: Conn, work: Work, chosen: ProductFilter) -> Part:
    """Plan the undo of a partition's products; nothing is locked, nothing is written.

    Args:
        conn: At the beginning of a transaction, which becomes one snapshot, read-only.
        work: The undo.
        chosen: The products of the partition.
    """
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    gathered = gather(conn, chosen, locks=False)
    got = _decide(conn, gathered, _subject(work), work.proposal, Cause("plan", str(work.plan.plan_id)))
    part = planning.part_of(gathered, got.made, work)
    for note in got.notes.values():
        part.sums.undo[note] = part.sums.undo.get(note, 0) + 1
    return msgspec.structs.replace(part, items=_noted(part, gathered, got))


def publish_part(conn: Conn, work: Work, part: Stored, chosen: ProductFilter, cause: Cause) -> Published:
    """Publish an undo of a partition's products, as `application.publish_part` publishes a plan."""
    plan, proposal = work
    undo = _subject(work)
    gathered = gather(conn, chosen)
    active = rulebook.active_policy(conn)
    is_exact = active.policy == proposal.after.policy
    if not is_exact:
        proposal = proposal.under(active)
    planned, other = application.parted(gathered.found, part if is_exact else None)
    got = _decide(conn, gathered._replace(found=planned), undo, proposal, cause, part.as_of)
    now = _decide(conn, gathered._replace(found=other), undo, proposal, cause)
    anew = [one for one in other if not is_decided(one, cause)]
    redecided = application.other_than_planned(planned, got.made, part) + planning.items_of(anew, now.made)
    got.made.add(now.made)
    repriced = application.write(conn, gathered, got.made, proposal, cause)
    undone.note(conn, got.restored + now.restored, gathered.at)
    paused = [product_id for product_id, note in (got.notes | now.notes).items() if note == "paused"]
    pauses.add(conn, paused, f"undo of {undo.name}", plan.author)
    return Published(repriced, redecided)


def _subject(work: Work) -> Undo:
    assert work.plan.options.undo is not None  # noqa: S101 # its plan is an undo
    return work.plan.options.undo


def _decide(
    conn: Conn, gathered: Gathered, undo: Undo, proposal: Proposal, cause: Cause, as_of: datetime | None = None
) -> Undone:
    """The decisions under the rules before, at an instant; None: the time of the reading."""
    changes = undone.changes_since(conn, [one.product.product_id for one in gathered.found], undo.since)
    found = {product_id: undone.look(rows, undo.made) for product_id, rows in changes.items()}
    pasts = {product_id: past for product_id, past in found.items() if past is not None}
    notes: dict[str, str] = {product_id: past.found for product_id, past in pasts.items()}
    places: dict[str, list[PricingInputs]] = {"restored": [], "left": [], "created": [], "": []}
    for one in gathered.found:
        places[notes.get(one.product.product_id, "")].append(one)
    prices = {product_id: past.price for product_id, past in pasts.items() if past.price is not None}
    made = _restored(gathered._replace(found=places["restored"]), prices, proposal, cause, as_of)
    restored = [
        Restored(new.sheet.product_id, new.sheet.version, pasts[new.sheet.product_id].back_to) for new in made.fresh
    ]
    if undo.pauses:
        at = as_of or gathered.at
        for one in places["restored"]:
            if _target(one, proposal, at) != prices[one.product.product_id]:
                notes[one.product.product_id] = "paused"
    made.add(planning.decide(gathered._replace(found=places[""]), proposal, cause, as_of))
    left = gathered._replace(found=places["left"] + places["created"])
    made.add(Batch(left, lambda _: None).decide(gathered.setting(proposal.policy)))
    return Undone(made, notes, restored)


def _restored(
    gathered: Gathered, prices: Mapping[str, Decimal], proposal: Proposal, cause: Cause, as_of: datetime | None
) -> Made:
    """The decisions about products whose price is restored, limited by the bounds only."""
    setting = gathered.setting(proposal.policy, chosen=prices)._replace(as_of=as_of, restores=True)
    return Batch(gathered, lambda _: cause).decide(setting)


def _target(one: PricingInputs, proposal: Proposal, at: datetime) -> Decimal:
    """The price that the rules ask for."""
    state = states.input_of(one.state, (), is_stopped=False)
    return decide(one.product, one.signals, proposal.after.policy, state, at, by_person=True).published_price


def _noted(part: Part, gathered: Gathered, got: Undone) -> list[Item]:
    """The items of a part with what becomes of their products, those that stay included."""
    shown = {item.product_id for item in part.items}
    unmoved = [
        one for one in gathered.found if (product_id := one.product.product_id) in got.notes and product_id not in shown
    ]
    items = [*part.items, *planning.items_of(unmoved, got.made)]
    return [item._replace(undo=got.notes.get(item.product_id)) for item in items]
