"""A new plan: checked against the rulebook in force, and stored with the task that makes it."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID, uuid4

from shared.catalogue.product_set import ProductSet
from shared.jobs import tasks
from shared.plans import changes, store
from shared.plans.changes import Change
from shared.plans.store import Author, Options
from shared.postgres.pools import Conn
from shared.rulebook import store as rulebook


class Made(NamedTuple):
    """The ids of a new plan and of its task."""

    plan_id: UUID
    task_id: UUID


def make(conn: Conn, proposed: Sequence[Change], author: Author, traceparent: str, chosen: ProductSet) -> Made:
    """Store a plan and its task, which the caller enqueues after the commit.

    Args:
        conn: In a transaction.
        proposed: The changes.
        author: Who makes the plan.
        traceparent: W3C context that the job continues.
        chosen: The products that a person chose for a look; everything: the plan can be applied.

    Raises:
        InvalidInput: a change contradicts itself or the rulebook; the path leads into the change.
    """
    changes.revised(rulebook.active(conn).rulebook, proposed)
    plan_id = uuid4()
    task_id = tasks.create(conn, "plan", chosen, traceparent)
    tasks.claim_one(conn, task_id)
    options = Options(product_set=chosen, is_partial=not chosen.is_everything)
    store.insert(conn, plan_id, author, proposed, options, task_id)
    return Made(plan_id, task_id)
