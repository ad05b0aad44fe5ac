"""The overview: what is wrong now, then what happens."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from litestar import Request, Response, get

from api.console import navigation, shown
from api.console.pages.products import PATH
from api.console.rendering import page
from api.console.traffic import Watch
from api.edge.identity import needs
from api.http.answers import LIVE_PATH
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
SERVERS = {"postgres": "PostgreSQL", "redis": "Redis"}
# Of the backlog: what waits, the page that shows it, and the status that waits there.
QUEUES = {"events": ("market events", "Events", "received"), "tasks": ("jobs", "Jobs", "queued")}


class Figures(NamedTuple):
    """What PostgreSQL says."""

    backlog: dict[str, Any]
    holds: int
    breaker: BreakerView
    pauses: list[PauseView]
    runs: list[TaskView]


class Alarm(NamedTuple):
    """Something that needs a person, with the path to where it is dealt with, if any; `level` is bad or warn."""

    level: str
    title: str
    detail: str
    path: str = ""


@get("/", guards=[needs("catalogue:read")])
async def overview(request: Request[Any, Any, Any], services: Services) -> Response[str]:
    """Show the overview. A stream brings its changing part again."""
    return page(request, "overview.html", live=LIVE_PATH, **await current(services))


async def current(services: Services) -> dict[str, Any]:
    """The values of the changing part.

    Raises:
        DatabaseUnavailable: PostgreSQL is away.
    """
    state, figures, traffic = await asyncio.gather(
        health.readiness(services), asyncio.to_thread(_figures, services), _watch.traffic(services.scrapes)
    )
    return {
        "alarms": list(alarms(state, figures)),
        "state": state,
        "servers": SERVERS,
        "figures": figures,
        "traffic": traffic,
        "now": datetime.now(UTC),
    }


def alarms(state: Readiness, figures: Figures) -> Iterator[Alarm]:
    """What is wrong, the worst first."""
    for name, server in state.dependencies.items():
        if server.status == "down":
            yield Alarm("bad", f"{SERVERS[name]} is away", server.error or "")
    if figures.breaker.is_open:
        yield Alarm("bad", "The breaker has stopped automation", figures.breaker.reason, navigation.path_of("Holds"))
    backlog = figures.backlog
    for name, (what, page_title, _) in QUEUES.items():
        if failed := backlog[f"{name}_failed"]:
            why = "their reasons are kept; they can be replayed"
            path = f"{navigation.path_of(page_title)}?status=failed"
            yield Alarm("bad", f"{shown.whole(failed)} {what} failed", why, path)
    for name, (what, page_title, waiting) in QUEUES.items():
        if (age_s := backlog[f"{name}_age_s"]) > LATE_S:
            why = f"the oldest waits for {shown.span(float(age_s))}"
            path = f"{navigation.path_of(page_title)}?status={waiting}"
            yield Alarm("warn", f"{what.capitalize()} are late", why, path)
    if figures.holds:
        title = f"{shown.whole(figures.holds)} {'price waits' if figures.holds == 1 else 'prices wait'} for a person"
        yield Alarm("warn", title, "approve or refuse the targets", navigation.path_of("Holds"))
    for pause in figures.pauses:
        reach = pause.product_id or (f"the category {pause.category}" if pause.category else "everything")
        path = f"{PATH}/{shown.segment(pause.product_id)}" if pause.product_id else ""
        yield Alarm("warn", f"Automation is paused for {reach}", f"{pause.reason} ({pause.author})", path)


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
