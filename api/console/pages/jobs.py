"""Background jobs: listed, and one job with its progress, failed products, abort and replay."""

from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post

from api.console.rendering import back, is_results, links, page
from api.edge.identity import needs
from api.http import cursors
from api.http.answers import CONSOLE_PATH
from api.routes import tasks
from api.services import Services
from shared.jobs import views
from shared.jobs.views import TaskKind, TaskStatus

PATH = f"{CONSOLE_PATH}/jobs"
PAGE = 50


@get("/jobs", guards=[needs("catalogue:read")], sync_to_thread=True)
def jobs(
    request: Request[Any, Any, Any],
    services: Services,
    status: TaskStatus | Literal[""] = "",
    kind: TaskKind | Literal[""] = "",
    cursor: str | None = None,
) -> Response[str]:
    """List the jobs that fit the filters in the address, the newest first."""
    after: views.Position | None = cursors.decode(cursor, views.Position)
    with services.transaction() as conn:
        found = views.page(conn, [status] if status else [], [kind] if kind else [], PAGE + 1, after)
    found, last = cursors.split(found, PAGE)
    filters = {"status": status, "kind": kind}
    shown = links(PATH, filters, cursor, (last.created_at, last.task_id) if last else None)
    return page(request, "jobs-results.html" if is_results(request) else "jobs.html", jobs=found, **shown)


@get("/jobs/{task_id:uuid}", guards=[needs("catalogue:read")], sync_to_thread=True)
def job(request: Request[Any, Any, Any], services: Services, task_id: UUID) -> Response[str]:
    """Show a job."""
    with services.transaction() as conn:
        found = views.view(conn, task_id)
        traceback = views.traceback_of(conn, task_id) if found.error is not None else None
    is_part = request.headers.get("hx-target", "").endswith("now")
    return page(request, "job-now.html" if is_part else "job.html", job=found, traceback=traceback)


@post("/jobs/{task_id:uuid}/abort", guards=[needs("operate")], sync_to_thread=True)
def abort(services: Services, task_id: UUID) -> Response[str]:
    """Abort a job."""
    tasks.abort(services, task_id)
    return back(f"{PATH}/{task_id}", "The abort is requested.")


@post("/jobs/{task_id:uuid}/replay", guards=[needs("operate")], sync_to_thread=True)
def replay(services: Services, task_id: UUID) -> Response[str]:
    """Queue a failed job again."""
    with services.transaction() as conn:
        views.replay(conn, task_id)
    return back(f"{PATH}/{task_id}", "The job is queued again.")


HANDLERS = (jobs, job, abort, replay)
