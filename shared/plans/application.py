"""The application of a plan: its rulebook is put in force, then each part publishes the planned prices."""

from collections.abc import Sequence, Set
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from shared.catalogue import price_lists, products, staged_imports
from shared.catalogue.product_set import ProductFilter
from shared.errors import AlreadyEnded, StalePlan
from shared.jobs import tasks
from shared.plans import contents, entry_writes, plan_parts, planning, proposal, store
from shared.plans.plan_parts import Item, Stored
from shared.plans.proposal import Proposal
from shared.plans.store import Plan
from shared.postgres.pools import Conn
from shared.prices import published, replaced_facts
from shared.prices.batches import Made, is_decided
from shared.prices.gathering import Gathered
from shared.prices.inputs import PricingInputs
from shared.prices.new_versions import Cause
from shared.prices.published import Repriced
from shared.prices.replaced_facts import Replaced
from shared.pricing.money import percent
from shared.pricing.product import ProductInput
from shared.rulebook import exchange_rates, parts, reductions, values
from shared.rulebook import store as rulebook
from shared.rulebook.store import By, RulebookVersion

STALE_SHARE = Decimal("0.05")


class Begun(NamedTuple):
    """An application that is under way.

    Attributes:
        made: The rulebook in force.
        is_new: Whether it made a version.
        values_version: The market values in force; None: no change of them.
        task_id: The task that publishes the prices; None: no published price moves.
    """

    made: RulebookVersion
    is_new: bool
    values_version: int | None
    task_id: UUID | None


class Published(NamedTuple):
    """What a part published; `redecided` are the products whose price is not the planned one."""

    repriced: Repriced
    redecided: list[Item]


def begin(conn: Conn, plan: Plan, by: By, traceparent: str, stale_share: Decimal = STALE_SHARE) -> Begun:
    """Put the rulebook of a locked plan in force, and add the task that publishes the prices.

    Raises:
        AlreadyEnded: the plan is not ready, was applied or discarded, or is of chosen products only.
        StalePlan: a part that it touches, or more than `stale_share` of its sheets, changed since.
    """
    _check_ready(plan)
    proposed = proposal.work_out(conn, plan.changes, plan.rulebook_version, plan.created_at)
    for name in sorted(proposed.touched):
        if name.kind == "price_list":
            price_lists.lock(conn, name.key)
    held = rulebook.locked(conn)
    _check_unmoved(conn, proposed, held, plan.created_at)
    values_version = _put_values(conn, plan, by)
    share = plan_parts.changed_share(conn, plan)
    if share > stale_share:
        raise StalePlan(f"{percent(share)} of its prices changed since it was made; make the plan again")
    made = held
    for change in plan.changes:
        if (written := contents.of_rulebook(change)) is not None:
            if written.part is None:
                made = parts.drop(conn, made, written.name, by)
            else:
                made = parts.put(conn, made, written.name, written.part, by)
    task_id = None
    if proposed.writes_sheets or (plan.options.undo is not None and plan.options.undo.writes_sheets):
        task_id = tasks.create(conn, "apply", plan.options.product_set, traceparent)
    elif (reached := reductions.changed(held.rulebook, made.rulebook, made.at)) is not None:
        tasks.create(conn, "recalculation", reached, traceparent)  # it finds the lowest prices
    store.begin_application(conn, plan, task_id, by.author, made.version)
    return Begun(made, made.version != held.version, values_version, task_id)


def publish_part(conn: Conn, proposed: Proposal, part: Stored, chosen: ProductFilter, cause: Cause) -> Published:
    """Publish the prices of a part, with its products locked, in the caller's transaction.

    A sheet of the planned version is decided at the plan's instant, from the same inputs; any other one at this
    instant.
    """
    for list_id in sorted(proposed.entries):
        price_lists.lock(conn, list_id)
    proposed = planning.with_imports(conn, proposed, chosen)
    gathered = planning.gather_all(conn, chosen, proposed.products)
    active = rulebook.active_policy(conn)
    is_exact = active.policy == proposed.after.policy
    if not is_exact:  # the policy was changed again
        proposed = proposed.under(active)
    planned, other = parted(gathered.found, part if is_exact else None)
    made = planning.decide(gathered._replace(found=planned), proposed, cause, part.as_of)
    now = planning.decide(gathered._replace(found=other), proposed, cause)
    anew = [one for one in other if not is_decided(one, cause)]
    redecided = other_than_planned(planned, made, part, proposed.deleted)
    redecided += planning.items_of(anew, now, proposed.deleted)
    made.add(now)
    return Published(write(conn, gathered, made, proposed, cause), redecided)


def write(conn: Conn, gathered: Gathered, made: Made, proposed: Proposal, cause: Cause) -> Repriced:
    """Store the facts that the changes write, the prices and the entries."""
    _write_facts(conn, gathered.found, proposed, cause)
    repriced = published.write(conn, gathered, made, proposed.policy, lambda _: cause)
    repriced = entry_writes.write(conn, gathered.found, proposed, repriced, cause)
    gone = [one.product for one in gathered.found if one.product.product_id in proposed.deleted]
    replaced_facts.note(conn, cause.id, [replaced_facts.of_deletion(product) for product in gone])
    ids = [product.product_id for product in gone]
    replaced_facts.note(conn, cause.id, entry_writes.of_deletion(conn, ids) if ids else [])
    deletions = published.delete_all(conn, ids, cause).sheets if ids else ()
    sheets = repriced.sheets | {sheet.product_id: sheet for sheet in deletions}
    changed = repriced.changed + tuple(sheet.product_id for sheet in deletions)
    return replace(repriced, sheets=sheets, changed=changed)


def parted(found: Sequence[PricingInputs], part: Stored | None) -> tuple[list[PricingInputs], list[PricingInputs]]:
    """The products whose sheets have the planned version, and the others; without a part all are others."""
    planned: list[PricingInputs] = []
    other: list[PricingInputs] = []
    for one in found:
        version = 0 if one.last is None else one.version
        is_same = part is not None and part.versions.get(one.product.product_id) == version
        (planned if is_same else other).append(one)
    return planned, other


def other_than_planned(
    found: Sequence[PricingInputs], made: Made, part: Stored, deleted: Set[str] = frozenset()
) -> list[Item]:
    """The prices that differ from those of the plan."""
    items = planning.items_of(found, made, deleted)
    return [item for item in items if item.new_price != part.prices.get(item.product_id, item.old_price)]


def _check_ready(plan: Plan) -> None:
    if plan.applied_version is not None:
        raise AlreadyEnded("the plan is applied")
    if plan.discarded_at is not None:
        raise AlreadyEnded("the plan is discarded")
    if plan.ready_at is None:
        raise AlreadyEnded("the plan is not ready")
    if plan.options.is_partial:
        raise AlreadyEnded("the plan is of chosen products only; make one without `products` and `sample`")


def _check_unmoved(conn: Conn, proposed: Proposal, held: RulebookVersion, at: datetime) -> None:
    moved = [
        str(name) for name in proposed.touched if parts.find(proposed.before, name) != parts.find(held.rulebook, name)
    ]
    written = products.written_since(conn, {*proposed.products, *proposed.deleted}, at)
    if proposed.imports:
        written += staged_imports.written_since(conn, proposed.imports, at)
    moved += [f"product {product_id}" for product_id in written]
    if moved:
        raise StalePlan(f"changed since the plan was made: {', '.join(moved)}; make the plan again")


def _write_facts(conn: Conn, found: Sequence[PricingInputs], proposed: Proposal, cause: Cause) -> None:
    """Store the products that the changes write, and what they replace; manual prices are part of the states."""
    written: list[ProductInput] = []
    replaced: list[Replaced | None] = []
    for one in found:
        product_id = one.product.product_id
        if (product := proposed.products.get(product_id)) is not None:
            written.append(product)
            replaced.append(replaced_facts.of_product(one.product, product))
        if product_id in proposed.manual_prices:
            manual = proposed.manual_prices[product_id]
            replaced.append(replaced_facts.of_manual_price(product_id, one.state.manual, manual))
    products.upsert(conn, written)
    replaced_facts.note(conn, cause.id, [one for one in replaced if one is not None])


def _put_values(conn: Conn, plan: Plan, by: By) -> int | None:
    """Put the market values of a plan in force; returns their version, None where it has none.

    Raises:
        StalePlan: one of them changed since.
    """
    new = contents.values_of(plan.changes)
    if not new:
        return None
    values.lock(conn)
    if moved := values.changed_since(conn, plan.values_version, new):
        raise StalePlan(f"changed since the plan was made: {', '.join(moved)}; make the plan again")
    rates = contents.rates_of(plan.changes)
    if rates:
        exchange_rates.put(conn, rates, by)
    return values.add(conn, [value for value in new if value.kind == "multiplier" or value.value is None], by)
