"""For operators: health and metrics."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Literal

import msgspec
from litestar import MediaType, Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Meta
from prometheus_client import CONTENT_TYPE_LATEST

from api.services import Services
from shared import VERSION
from shared.jobs import backlog_metrics
from shared.postgres.pools import bounded
from shared.telemetry.exposition import exposition

PROBE_TIMEOUT_S = 1.0


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Annotated[Literal["live"], Meta(description="Always live", examples=["live"])] = "live"


class Dependency(msgspec.Struct, frozen=True, omit_defaults=True):
    """One server that the API needs."""

    status: Annotated[Literal["up", "down"], Meta(description="Whether it answers", examples=["up"])]
    version: Annotated[str | None, Meta(description="The server's version", examples=["18.0"])] = None
    error: Annotated[str | None, Meta(description="Why not", examples=["Connection refused"])] = None


class Readiness(msgspec.Struct, frozen=True):
    """Whether the API can do its work."""

    status: Annotated[
        Literal["ready", "degraded", "unavailable"],
        Meta(
            description="ready; degraded: one server is away, prices are served where they can be; unavailable",
            examples=["ready"],
        ),
    ]
    version: Annotated[str, Meta(description="The engine's version", examples=[VERSION])]
    dependencies: Annotated[
        dict[str, Dependency],
        Meta(
            description="Each server by name",
            examples=[{"postgres": {"status": "up", "version": "18.0"}, "redis": {"status": "up", "version": "8.0"}}],
        ),
    ]


@get(
    "/health/live",
    operation_id="live",
    summary="Is the process alive?",
    description="Asks nothing of any other server.",
)
async def live() -> Live:
    """Answer."""
    return Live()


@get(
    "/health/ready",
    operation_id="ready",
    responses={503: ResponseSpec(Readiness, description="Neither answers", generate_examples=False)},
    summary="Can it do its work?",
    description="200 while prices are served, 503 where neither PostgreSQL nor Redis answers.",
)
async def ready(services: Services) -> Response[Readiness]:
    """Ask each dependency, all at once."""
    postgres, redis = await asyncio.gather(_probe(_ask_postgres(services)), _probe(_ask_redis(services)))
    up = [postgres.status, redis.status].count("up")
    status: Literal["ready", "degraded", "unavailable"] = "ready" if up == 2 else "degraded" if up else "unavailable"
    readiness = Readiness(status, VERSION, {"postgres": postgres, "redis": redis})
    return Response(readiness, status_code=503 if status == "unavailable" else 200)


@get(
    "/metrics",
    sync_to_thread=True,
    media_type=MediaType.TEXT,
    operation_id="metrics",
    summary="Prometheus metrics",
    description="Of all API processes together; the workers' are at port 9191, the listener's at 9192.",
)
def metrics(services: Services) -> Response[bytes]:
    """Scrape."""
    text = exposition(backlog_metrics.PriceStatistics(services.writes))
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


async def _ask_postgres(services: Services) -> str:
    async with services.reads.connection(timeout=PROBE_TIMEOUT_S) as conn:
        await conn.execute("SELECT 1")
        # Debian's own name may follow.
        return (conn.info.parameter_status("server_version") or "").partition(" ")[0]


async def _ask_redis(services: Services) -> str:
    server = await services.cache.info("server")
    # Valkey also names the version of Redis that it replaces.
    return f"valkey {server['valkey_version']}" if "valkey_version" in server else str(server["redis_version"])


async def _probe(question: Coroutine[None, None, str]) -> Dependency:
    try:
        version = await bounded(question, PROBE_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 # whatever the reason: it is down, and the answer says why
        return Dependency("down", error=f"{type(error).__name__}: {error}".strip(": "))
    return Dependency("up", version)


router = Router("/", route_handlers=[live, ready, metrics], tags=["Operations"])
