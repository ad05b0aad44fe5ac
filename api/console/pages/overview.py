"""The overview: what is wrong now, then what happens."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from litestar import Request, Response, get

from api.console.rendering import page
from api.console.traffic import Watch
from api.edge.identity import needs
from api.http.answers import CONSOLE_PATH
from api.routes import health
from api.routes.health import Readiness
from api.services import Services
from shared.jobs import backlog_metrics
from shared.jobs import views as task_views
from shared.jobs.views import TaskView
from shared.prices import automation_metrics, breaker, pauses
from shared.prices.breaker import BreakerView
from shared.prices.pauses import PauseView
from shared.rulebook import store as rulebook

RUNS = 8
# Work that waits longer than this is late: usual work waits for a second or two.
LATE_S = 60


class Figures(NamedTuple):
    """What PostgreSQL says."""

    backlog: dict[str, Any]
    holds: int
    breaker: BreakerView
    pauses: list[PauseView]
    runs: list[TaskView]


class Alarm(NamedTuple):
    """Something that needs a person; `level` is bad or warn."""

    level: str
    title: str
    detail: str
    path: str
    action: str


@get("/", guards=[needs("catalogue:read")])
async def overview(request: Request[Any, Any, Any], services: Services) -> Response[str]:
    """Show the overview. Its changing part asks for itself again."""
    readiness, figures, traffic = await asyncio.gather(
        health.ready.fn(services), asyncio.to_thread(_figures, services), _watch.traffic(services.scrapes)
    )
    state: Readiness = readiness.content
    values = {
        "alarms": list(alarms(state, figures)),
        "state": state,
        "figures": figures,
        "traffic": traffic,
        "now": datetime.now(UTC),
    }
    return page(request, "overview-now.html" if "hx-request" in request.headers else "overview.html", **values)


def alarms(state: Readiness, figures: Figures) -> Iterator[Alarm]:
    """What is wrong, the worst first."""
    products, tasks = f"{CONSOLE_PATH}/products", "/docs#/Tasks"
    for name, server in state.dependencies.items():
        if server.status == "down":
            yield Alarm("bad", f"{name} is away", server.error or "", CONSOLE_PATH, "")
    if figures.breaker.is_open:
        yield Alarm("bad", "Automation is stopped by the breaker", figures.breaker.reason, tasks, "")
    backlog = figures.backlog
    for name in ("events", "tasks"):
        if failed := backlog[f"{name}_failed"]:
            what = {"events": "market events", "tasks": "jobs"}[name]
            yield Alarm(
                "bad", f"{failed:,} {what} failed", "they are kept with their reasons, to be replayed", tasks, ""
            )
        if (age_s := backlog[f"{name}_age_s"]) > LATE_S:
            yield Alarm("warn", f"{name.capitalize()} are late", f"the oldest waits for {age_s:,.0f} s", tasks, "")
    if figures.holds:
        yield Alarm("warn", f"{figures.holds:,} prices wait for a person", "approve or refuse them", tasks, "")
    for pause in figures.pauses:
        reach = pause.product_id or (f"the category {pause.category}" if pause.category else "everything")
        path = f"{products}/{pause.product_id}" if pause.product_id else products
        yield Alarm("warn", f"Automation is paused for {reach}", f"{pause.reason} ({pause.author})", path, "")


def _figures(services: Services) -> Figures:
    with services.transaction() as conn:
        return Figures(
            backlog=backlog_metrics.read(conn),
            holds=sum(automation_metrics.open_holds(conn).values()),
            breaker=breaker.view(conn, rulebook.active_policy(conn).policy.breaker),
            pauses=pauses.page(conn, 10, None),
            runs=task_views.page(conn, [], ["recalculation", "plan", "apply"], RUNS, None),
        )


_watch = Watch()
HANDLERS = (overview,)
