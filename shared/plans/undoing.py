"""An undo as a plan: the prices that are restored, decided with the code of publication."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from shared.catalogue import price_lists, products
from shared.catalogue.product_set import ProductFilter
from shared.market_events import replaced_signals
from shared.market_events.replaced_signals import OldSignal, Replaced
from shared.plans import application, planning, undone_facts
from shared.plans.application import Published
from shared.plans.plan_parts import Item, Part, Stored
from shared.plans.proposal import Proposal, Work
from shared.plans.undo import Undo
from shared.plans.undone_facts import Back
from shared.postgres.pools import Conn
from shared.prices import pauses, replaced_facts, states, undone
from shared.prices.batches import Batch, Made, is_decided
from shared.prices.gathering import Gathered
from shared.prices.inputs import PricingInputs, StoredSignal
from shared.prices.new_versions import Cause
from shared.prices.published import Repriced
from shared.prices.undone import Past, Restored
from shared.pricing.decision import decide
from shared.pricing.signal import Signal
from shared.rulebook import store as rulebook

# These are only read.
_READ = ("left", "created", "deleted")


class Undone(NamedTuple):
    """The decisions of an undo.

    Attributes:
        notes: The outcome of each product concerned: `restored`, `paused` too, `left`, `created`, `deleted`, or
            `signals`: only its signals go back.
        restored: The versions whose prices are restored, by product.
        facts: The facts, manual prices and entries that go back.
        back: The signals that go back to their old values.
        undone: The signals that the subject applied.
        proposal: The rules with these facts.
    """

    made: Made
    notes: dict[str, str]
    restored: dict[str, int]
    facts: Back
    back: list[Replaced]
    undone: list[Replaced]
    proposal: Proposal


def plan_part(conn: Conn, work: Work, chosen: ProductFilter) -> Part:
    """Plan the undo of a partition's products; nothing is locked, nothing is written.

    Args:
        conn: At the beginning of a transaction, which becomes one snapshot, read-only.
        work: The undo.
        chosen: The products of the partition.
    """
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    gathered = _gather(conn, _subject(work), chosen, locks=False)
    got = _decide(conn, gathered, _subject(work), work.proposal, Cause("plan", str(work.plan.plan_id)))
    part = planning.part_of(gathered, got.made, got.proposal, work.plan.options.queries)
    for note in got.notes.values():
        part.sums.undo[note] = part.sums.undo.get(note, 0) + 1
    return replace(part, items=_noted(part, gathered, got))


def publish_part(conn: Conn, work: Work, part: Stored, chosen: ProductFilter, cause: Cause) -> Published:
    """Publish an undo of a partition's products, as `application.publish_part` publishes a plan."""
    plan, proposal = work
    undo = _subject(work)
    if undo.writes_facts:  # before the products, as every writer of entries
        written = replaced_facts.lists_of_cause(conn, undo.id, undo.since)
        for list_id in sorted({*written, *(each.list for each in undo.lists)}):
            price_lists.lock(conn, list_id)
    gathered = _gather(conn, undo, chosen)
    active = rulebook.active_policy(conn)
    is_exact = active.policy == proposal.after.policy
    if not is_exact:
        proposal = proposal.under(active)
    planned, other = application.parted(gathered.found, part if is_exact else None)
    got = _decide(conn, gathered._replace(found=planned), undo, proposal, cause, part.as_of)
    now = _decide(conn, gathered._replace(found=other), undo, proposal, cause)
    anew = [one for one in other if not is_decided(one, cause)]
    redecided = application.other_than_planned(planned, got.made, part, got.proposal.deleted)
    redecided += planning.items_of(anew, now.made, now.proposal.deleted)
    got.made.add(now.made)
    deleted = got.proposal.deleted | now.proposal.deleted
    proposal = _with_facts(proposal, got.facts.merged(now.facts), deleted)
    repriced = application.write(conn, gathered, got.made, proposal, cause)
    undone.note(conn, _restored_versions(gathered, repriced, got.restored | now.restored), gathered.at)
    replaced_signals.restore(conn, got.back + now.back)
    replaced_signals.note_undone(conn, got.undone + now.undone)
    paused = [product_id for product_id, note in (got.notes | now.notes).items() if note == "paused"]
    pauses.add(conn, paused, f"undo of {undo.name}", plan.author)
    return Published(repriced, redecided)


def _gather(conn: Conn, undo: Undo, chosen: ProductFilter, *, locks: bool = True) -> Gathered:
    """The inputs of chosen products, and of those in their range that the subject deleted."""
    values = chosen.values
    gone = (
        replaced_facts.deleted_by(conn, undo.id, undo.since, values["first"], values.get("before"))
        if undo.writes_facts
        else []
    )
    return planning.gather_all(conn, chosen, {product.product_id: product for product in gone}, locks=locks)


def _subject(work: Work) -> Undo:
    assert work.plan.options.undo is not None  # noqa: S101 # its plan is an undo
    return work.plan.options.undo


def _decide(
    conn: Conn, gathered: Gathered, undo: Undo, proposal: Proposal, cause: Cause, as_of: datetime | None = None
) -> Undone:
    """The decisions under the rules and signals before, at an instant; None: the time of the reading."""
    ids = [one.product.product_id for one in gathered.found]
    changes = undone.changes_since(conn, ids, undo.since)
    facts = undone_facts.find(conn, gathered.found, undo, proposal.after)
    pasts = {product_id: undone.look(rows, undo.made) for product_id, rows in changes.items()}
    created = [product_id for product_id, past in pasts.items() if undo.writes_facts and past and past.is_created]
    pasts |= dict.fromkeys(facts.left | _written_since(conn, created, pasts, undo), Past("left"))
    deleted = frozenset(product_id for product_id in created if pasts[product_id] != Past("left"))
    notes: dict[str, str] = {product_id: past.found for product_id, past in pasts.items() if past is not None}
    notes |= dict.fromkeys(deleted, "deleted")
    facts = facts.without(product_id for product_id, note in notes.items() if note in ("left", "deleted"))
    proposal = _with_facts(proposal, facts, deleted)
    prices = {product_id: past.price for product_id, past in pasts.items() if past and past.price is not None}
    applied = replaced_signals.since(conn, ids, undo.since) if undo.pauses else {}
    back = {
        product_id: found
        for product_id, rows in applied.items()
        if notes.get(product_id) != "left" and (found := replaced_signals.back(rows, undo.applied))
    }
    places: dict[str, list[PricingInputs]] = {note: [] for note in ("restored", "signals", *_READ, "")}
    for one in gathered.found:
        product_id = one.product.product_id
        if product_id in back and notes.get(product_id) != "restored":
            notes[product_id] = "signals"
        places[notes.get(product_id, "")].append(_with_old(one, back.get(product_id, [])))
    restored = gathered._replace(found=[planning.changed(one, proposal) for one in places["restored"]])
    made = _restored(restored, prices, proposal, cause, as_of)
    if undo.pauses:
        notes |= dict.fromkeys(_asked_again(gathered, restored, prices, proposal, as_of or gathered.at), "paused")
    notes = dict.fromkeys(facts.ids, "restored") | notes
    made.add(planning.decide(gathered._replace(found=places[""]), proposal, cause, as_of))
    setting = gathered.setting(proposal.policy)._replace(as_of=as_of)
    made.add(Batch(gathered._replace(found=places["signals"]), lambda _: cause).decide(setting))
    left = gathered._replace(found=[one for note in _READ for one in places[note]])
    made.add(Batch(left, lambda _: None).decide(setting))
    versions = {
        product_id: past.back_to
        for product_id, past in pasts.items()
        if past and (past.found == "restored" or product_id in deleted)
    }
    subject = [one for product_id in notes for one in applied.get(product_id, ()) if undo.applied(one)]
    gone_back = [one for found in back.values() for one in found]
    return Undone(made, notes, versions, facts, gone_back, subject, proposal)


def _with_facts(proposal: Proposal, facts: Back, deleted: frozenset[str]) -> Proposal:
    return proposal.with_facts(facts.products, facts.manual_prices, facts.entries, deleted)


def _written_since(conn: Conn, created: Sequence[str], pasts: Mapping[str, Past | None], undo: Undo) -> set[str]:
    """Those of the created products whose facts a person wrote since, even where no price moved."""
    direct = [product_id for product_id in created if (past := pasts[product_id]) and past.is_direct]
    return set(products.written_since(conn, direct, undo.until)) if direct and undo.until is not None else set()


def _restored_versions(gathered: Gathered, repriced: Repriced, back_to: Mapping[str, int]) -> list[Restored]:
    """The new versions of the products whose price is restored; entries of lists may have made one more."""
    return [
        Restored(product_id, version, back_to[product_id])
        for one in gathered.found
        if (product_id := one.product.product_id) in back_to and product_id in repriced.changed
        for version in range(one.version + 1, repriced.sheets[product_id].version + 1)
    ]


def _with_old(one: PricingInputs, back: Sequence[Replaced]) -> PricingInputs:
    """The inputs with old values of signals."""
    if not back:
        return one
    gone = {(each.kind, each.source) for each in back}
    signals = [signal for signal in one.signals if (signal.kind, signal.source) not in gone]
    product = one.product
    for each in back:
        if each.kind == "stock":
            product = replace(product, stock=None if each.old_fact is None else int(each.old_fact))
        elif each.kind == "cost":
            product = replace(product, cost=each.old_fact)
        elif each.old is not None:
            signals.append(_signal(each, each.old))
    return replace(one, product=product, signals=signals)


def _signal(replaced: Replaced, old: OldSignal) -> Signal:
    return StoredSignal(
        kind="competitor" if replaced.kind == "competitor" else "demand",
        source=replaced.source,
        value=old.value,
        currency=old.currency,
        in_stock=old.in_stock,
        shipping=old.shipping,
        at=old.occurred_at,
        expires_at=old.expires_at,
    )


def _asked_again(
    gathered: Gathered, restored: Gathered, prices: Mapping[str, Decimal], proposal: Proposal, at: datetime
) -> list[str]:
    """The products for which the rules, by the signals that stay, ask for the undone price again."""
    before = {one.product.product_id: one for one in gathered.found}
    found = []
    for one in restored.found:
        product_id = one.product.product_id
        target = _target(one, proposal, at)
        is_same = target == one.state.past[-1].price or target == _target(before[product_id], proposal, at)
        if target != prices[product_id] and is_same:
            found.append(product_id)
    return found


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
    items = [*part.items, *planning.items_of(unmoved, got.made, got.proposal.deleted)]
    return [item._replace(undo=got.notes.get(item.product_id)) for item in items]
