"""Background jobs: look up and abort."""

from typing import Annotated
from uuid import UUID

import msgspec
import redis
import structlog
from litestar import Router, delete, get
from litestar.params import Parameter

from api.edge.identity import needs
from api.http.problems import documented
from api.services import Services
from shared.jobs import tasks
from shared.jobs import views as task_views
from shared.jobs.views import TaskView
from shared.wire import fields

log = structlog.get_logger(__name__)

TaskId = Annotated[UUID, Parameter(description="The task's id")]


class AbortAccepted(msgspec.Struct, frozen=True):
    """The abort is requested; the task's status becomes `aborted` when it takes effect."""

    task_id: fields.TaskId


@get(
    "/tasks/{task_id:uuid}",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="getTask",
    responses=documented(401, 403, 404, 422, 503),
    summary="The state of a background job",
    description="Status, progress, attempts, result or error.",
)
def get_task(services: Services, task_id: TaskId) -> TaskView:
    """Look up a task."""
    with services.transaction() as conn:
        return task_views.view(conn, task_id)


@delete(
    "/tasks/{task_id:uuid}",
    status_code=202,
    guards=[needs("operate")],
    security=[{"key": ["operate"]}],
    sync_to_thread=True,
    operation_id="abortTask",
    responses=documented(401, 403, 404, 409, 422, 503),
    summary="Abort a background job",
    description="A queued job ends at once, a running job at its next step. Prices decided so far remain.",
)
def abort_task(services: Services, task_id: TaskId) -> AbortAccepted:
    """Request an abort."""
    return abort(services, task_id)


def abort(services: Services, task_id: UUID) -> AbortAccepted:
    """Request an abort."""
    with services.transaction() as conn:
        is_running = tasks.request_abort(conn, task_id)
    if is_running:
        _interrupt(services, task_id)
    return AbortAccepted(task_id)


def _interrupt(services: Services, task_id: UUID) -> None:
    try:
        services.enqueue.abort(task_id)
    except redis.RedisError as error:
        log.warning("queue away, the task ends at its next step", task_id=str(task_id), error=str(error))


router = Router("/api/v1", route_handlers=[get_task, abort_task], tags=["Tasks"])
