"""Writes of plans, for the API and for the console: made, applied, discarded, and the plans of undos."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
import redis
import structlog
from msgspec import Meta

from api.edge.identity import require
from api.services import Services
from shared.access.keys import LiveKey
from shared.access.scopes import Scope
from shared.errors import Forbidden
from shared.jobs import tasks
from shared.messaging.channel import announce_rulebook
from shared.plans import application, making, store, undo_making, views
from shared.plans.requested import NewPlan
from shared.plans.store import Author
from shared.plans.undo_making import Asked
from shared.plans.views import PlanStatus
from shared.rulebook.store import By
from shared.telemetry import propagation, spans
from shared.telemetry.tracing import current_trace_id
from shared.wire.fields import TraceId

log = structlog.get_logger(__name__)


class PlanAccepted(msgspec.Struct, frozen=True):
    """The plan is stored; its job goes on by itself."""

    plan_id: Annotated[UUID, Meta(description="The plan's id", examples=[views.PLAN_ID])]
    status: Annotated[PlanStatus, Meta(description="Its status", examples=["queued"])]
    trace_id: TraceId


def make(services: Services, key: LiveKey, wanted: NewPlan) -> PlanAccepted:
    """Queue a plan.

    Raises:
        Forbidden: the key lacks the scope of a change.
    """
    check_scopes(key, sorted({change.scope for change in wanted.changes}))
    author = Author(key.name, key.id)
    with services.transaction() as conn:
        made = making.make(
            conn,
            wanted.changes,
            author,
            propagation.current()["traceparent"],
            wanted.chosen,
            wanted.sample,
            wanted.queries,
        )
    spans.annotate(plan_id=str(made.plan_id))
    enqueue(services, "plan", made.task_id)
    return PlanAccepted(made.plan_id, "queued", current_trace_id())


def make_undo(services: Services, key: LiveKey, asked: Asked) -> PlanAccepted:
    """Queue the plan of an undo.

    Raises:
        Forbidden: the key lacks the scope of a change.
    """
    traceparent = propagation.current()["traceparent"]
    with services.transaction() as conn:
        made = undo_making.make(conn, asked, Author(key.name, key.id), traceparent, services.settings.history_days)
        check_scopes(key, store.locked(conn, made.plan_id).scopes)
    spans.annotate(plan_id=str(made.plan_id))
    enqueue(services, "plan", made.task_id)
    return PlanAccepted(made.plan_id, "queued", current_trace_id())


def apply(services: Services, key: LiveKey, plan_id: UUID) -> PlanAccepted:
    """Publish a plan.

    Raises:
        Forbidden: the key lacks the scope of a change, or made the plan and another one must apply it.
    """
    with services.transaction() as conn:
        plan = store.locked(conn, plan_id)
        check_scopes(key, plan.scopes)
        if services.settings.four_eyes and plan.key_id == key.id:
            raise Forbidden("PRICING_FOUR_EYES: another key than the plan's author must apply it")
        by = By(key.name, f"plan {plan_id}", current_trace_id())
        begun = application.begin(conn, plan, by, propagation.current()["traceparent"])
        if begun.task_id is not None:
            tasks.claim_one(conn, begun.task_id)
    if begun.is_new or begun.values_version is not None:
        announce_rulebook(services.events, begun.made.version if begun.is_new else None, begun.values_version)
    if begun.task_id is None:
        return PlanAccepted(plan_id, "applied", current_trace_id())
    enqueue(services, "apply", begun.task_id)
    return PlanAccepted(plan_id, "applying", current_trace_id())


def discard(services: Services, key: LiveKey, plan_id: UUID) -> PlanAccepted:
    """Drop a plan.

    Raises:
        Forbidden: the key lacks the scope of a change.
    """
    with services.transaction() as conn:
        plan = store.locked(conn, plan_id)
        check_scopes(key, plan.scopes)
        running = store.discard(conn, plan)
    if running:
        _abort(services, plan.task_id)
    return PlanAccepted(plan_id, "discarded", current_trace_id())


def check_scopes(key: LiveKey, scopes: Sequence[Scope]) -> None:
    """Refuse a key that lacks one of these scopes."""
    for scope in scopes:
        require(key, scope)


def enqueue(services: Services, kind: str, task_id: UUID) -> None:
    """Enqueue the task of a plan; without Redis the sweep finds it."""
    try:
        services.enqueue.task(kind, task_id)
    except redis.RedisError as error:
        log.warning("queue away, the sweep will find the task", task_id=str(task_id), error=str(error))
        with services.transaction() as conn:
            tasks.release(conn, [task_id])


def _abort(services: Services, task_id: UUID) -> None:
    try:
        services.enqueue.abort(task_id)
    except redis.RedisError as error:
        log.warning("queue away, the task ends at its next step", task_id=str(task_id), error=str(error))
