"""Recalculations: background jobs that decide prices anew."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
import redis
import structlog
from litestar import Request, Router, post
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from api.edge.identity import needs
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.services import Services
from shared.access.keys import LiveKey
from shared.catalogue.product_set import ProductSet
from shared.jobs import tasks
from shared.market_events.events import RecalculationRequested
from shared.telemetry import propagation, spans
from shared.telemetry.tracing import current_trace_id
from shared.wire import fields

log = structlog.get_logger(__name__)


class Queued(msgspec.Struct, frozen=True):
    """The task is accepted: it is stored, and will run even if a process crashes."""

    task_id: fields.TaskId
    status: Annotated[str, Meta(description="Always queued", examples=["queued"])]
    trace_id: fields.TraceId


@post(
    "/recalculate",
    status_code=200,
    guards=[needs("operate")],
    security=[{"key": ["operate"]}],
    dto=StrictBody[RecalculationRequested],
    return_dto=None,
    sync_to_thread=True,
    operation_id="recalculate",
    responses=documented(401, 403, 422, 503),
    summary="Decide prices anew in the background",
    description="Of some products, of a category, or, without a body, of all products. One recalculation runs at a "
    "time. A further one ends `skipped`, and `result.merged_into` names the task that includes it.",
)
def recalculate(
    request: Request[LiveKey, Any, Any],
    services: Services,
    data: Annotated[
        RecalculationRequested | None,
        Body(
            examples=[
                Example(value={"product_ids": ["P-100", "P-101"]}),
                Example(value={"category": "grocery"}),
            ]
        ),
    ] = None,
) -> Queued:
    """Queue a recalculation."""
    return begin(services, request.user, (data or RecalculationRequested()).product_set)


def begin(services: Services, key: LiveKey, product_set: ProductSet) -> Queued:
    """Queue a recalculation."""
    with services.transaction() as conn:
        traceparent = propagation.current()["traceparent"]
        task_id = tasks.create(conn, "recalculation", product_set, traceparent, key_id=key.id)
        tasks.claim_one(conn, task_id)
    spans.annotate(task_id=str(task_id))
    _enqueue(services, task_id)
    return Queued(task_id, "queued", current_trace_id())


def _enqueue(services: Services, task_id: UUID) -> None:
    try:
        services.enqueue.task("recalculation", task_id)
    except redis.RedisError as error:
        log.warning("queue away, the sweep will find the task", task_id=str(task_id), error=str(error))
        with services.transaction() as conn:
            tasks.release(conn, [task_id])


router = Router("/api/v1", route_handlers=[recalculate], tags=["Tasks"])
