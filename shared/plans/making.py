"""A new plan: checked against the rulebook in force, and stored with the task that makes it."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID, uuid4

from shared.catalogue import product_set, products, staged_imports
from shared.catalogue.product_set import ProductSet
from shared.errors import InvalidInput, NotFound
from shared.jobs import tasks
from shared.plans import entry_writes, store
from shared.plans.changes import Change
from shared.plans.proposal import Proposal, work_out
from shared.plans.queries import ShopQuery
from shared.plans.store import Author, Options
from shared.postgres.pools import Conn
from shared.prices import manual_prices
from shared.pricing.rulebook_check import RulebookRefused, check_strategies
from shared.rulebook import store as rulebook

# Products of imports that have more are found among all.
MOST_NAMED = 10_000


class Made(NamedTuple):
    """The ids of a new plan and of its task."""

    plan_id: UUID
    task_id: UUID


def make(
    conn: Conn,
    proposed: Sequence[Change],
    author: Author,
    traceparent: str,
    chosen: ProductSet,
    sample: int | None = None,
    queries: tuple[ShopQuery, ...] = (),
    *,
    applies: bool = False,
) -> Made:
    """Store a plan and its task, which the caller enqueues after the commit.

    Args:
        conn: In a transaction.
        proposed: The changes.
        author: The plan's author.
        traceparent: W3C context that the job continues.
        chosen: The products that a person chose for a look; everything: the plan can be applied.
        queries: The shop's own queries.
        sample: The number of them that are planned, at random; None: all.

    Raises:
        InvalidInput: a change contradicts itself or the rulebook; the path leads into the change.
    """
    proposal = work_out(conn, tuple(proposed), rulebook.newest(conn))
    _check_policies(proposed)
    _check_products(conn, proposal)
    imported = _imported(conn, proposal)
    entry_writes.check(conn, proposal)
    reach = proposal.reach if chosen.is_everything else chosen
    if chosen.is_everything and imported is not None:
        reach = imported.union(reach) if proposal.reaches_some else imported
    is_partial = not chosen.is_everything or sample is not None
    if sample is not None:
        reach = ProductSet(tuple(product_set.sample(conn, reach, sample)) or ("",))
    options = Options(product_set=reach, is_partial=is_partial, queries=queries)
    return add(conn, proposed, author, traceparent, options, applies=applies)


def add(
    conn: Conn,
    proposed: Sequence[Change],
    author: Author,
    traceparent: str,
    options: Options,
    *,
    applies: bool = False,
) -> Made:
    """Store a plan of checked changes and its task, as `make` does."""
    plan_id = uuid4()
    task_id = tasks.create(conn, "plan", options.product_set, traceparent)
    tasks.claim_one(conn, task_id)
    store.insert(conn, plan_id, author, proposed, options, task_id, applies=applies)
    return Made(plan_id, task_id)


def _imported(conn: Conn, proposal: Proposal) -> ProductSet | None:
    """The products of the imports that a plan names; many of them are found among all. None: it names none."""
    if not proposal.imports:
        return None
    found: list[str] = []
    for index, change in enumerate(proposal.changes):
        if change.import_ is not None:
            try:
                staged_imports.find(conn, change.import_)
            except NotFound as error:
                raise InvalidInput(str(error), f"$.changes[{index}].import") from None
            found += staged_imports.ids(conn, change.import_, MOST_NAMED + 1)
    return ProductSet(tuple(sorted(set(found)))) if 0 < len(found) <= MOST_NAMED else ProductSet()


def _check_policies(proposed: Sequence[Change]) -> None:
    """Refuse what a direct write of the policy refuses, too. An undo is not checked: it brings back what was there."""
    for index, change in enumerate(proposed):
        if change.policy is not None:
            try:
                check_strategies(change.policy, f"changes[{index}].policy.")
            except RulebookRefused as error:
                raise InvalidInput(error.reason, f"$.{error.path}") from None


def _check_products(conn: Conn, proposal: Proposal) -> None:
    """Refuse unknown strategies, amounts of another currency, and deletions of products that do not exist."""
    for index, change in enumerate(proposal.changes):
        place = f"$.changes[{index}].{change.kind}"
        strategy = None if change.product is None else change.product.strategy
        if strategy is not None and strategy not in proposal.after.policy.strategies:
            raise InvalidInput("unknown strategy", f"{place}.strategy")
        if change.delete is not None and (gone := change.delete.product) is not None:
            if not products.currencies(conn, [gone]):
                raise InvalidInput("no such product", f"{place}.product")
            if gone in {*proposal.products, *proposal.manual_prices}:
                raise InvalidInput("the other changes write it", f"{place}.product")
        if (manual := change.manual_price) is not None:
            try:
                manual_prices.check(conn, manual.product_id, manual.price)
            except NotFound:
                raise InvalidInput("no such product", f"{place}.product_id") from None
            except InvalidInput as error:
                raise InvalidInput(error.reason, f"{place}.price") from None
