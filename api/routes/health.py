"""Health and metrics, for operators."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

import msgspec
import structlog
from litestar import MediaType, Request, Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Meta
from msgspec.structs import replace
from prometheus_client import CONTENT_TYPE_LATEST

from api.edge.identity import KEY_OPTIONAL, key_of, metrics_are_open
from api.http.problems import documented
from api.services import Services
from shared import VERSION
from shared.access import scopes
from shared.cache.commands import AsyncCache
from shared.errors import DatabaseUnavailable, RedisUnavailable
from shared.messaging.cluster import AsyncCluster
from shared.postgres.pools import bounded, require_writes
from shared.prices import breaker

log = structlog.get_logger(__name__)

PROBE_TIMEOUT_S = 1.0


class Live(msgspec.Struct, frozen=True):
    """The process is alive."""

    status: Annotated[Literal["live"], Meta(description="Always live", examples=["live"])] = "live"


class Dependency(msgspec.Struct, frozen=True, omit_defaults=True):
    """One server that the API needs."""

    status: Annotated[Literal["up", "down"], Meta(description="Whether the server responds", examples=["up"])]
    version: Annotated[
        str | None, Meta(description="The server's version, for keys that operate", examples=["18.0"])
    ] = None
    error: Annotated[str | None, Meta(description="The reason for `down`", examples=["no answer"])] = None


class Readiness(msgspec.Struct, frozen=True):
    """Whether the API can do its work."""

    status: Annotated[
        Literal["ready", "degraded", "unavailable"],
        Meta(
            description="ready; degraded: one server is away, prices are served where possible; unavailable: both are",
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
    automation: Annotated[
        Literal["on", "stopped", "unknown"],
        Meta(description="stopped: by the breaker; prices stay and are served; unknown: PostgreSQL is away"),
    ] = "unknown"


@get(
    "/health/live",
    operation_id="live",
    summary="Is the process alive?",
    description="Calls no other server.",
)
async def live() -> Live:
    """Report that the process is alive."""
    return Live()


@get(
    "/health/ready",
    operation_id="ready",
    responses={503: ResponseSpec(Readiness, description="Neither server responds", generate_examples=False)},
    summary="Can the API serve prices?",
    description="200 while prices are served, 503 where neither PostgreSQL nor Redis responds. A key with the scope "
    "`operate` also shows the servers' versions.",
)
async def ready(request: Request[Any, Any, Any], services: Services) -> Response[Readiness]:
    """Probe all dependencies at once."""
    found = await readiness(services)
    # No look-up in PostgreSQL: a probe is answered whatever its key is.
    key = key_of(services, request.scope)
    if key is None or not scopes.allow(key.scopes, "operate"):
        servers = {name: replace(server, version=None) for name, server in found.dependencies.items()}
        found = replace(found, dependencies=servers)
    return Response(found, status_code=503 if found.status == "unavailable" else 200)


async def readiness(services: Services) -> Readiness:
    """The state of the servers, with their versions."""
    postgres, redis = await asyncio.gather(
        _probe("postgres", _postgres_version(services)), _probe("redis", _redis_version(services))
    )
    # A process that has never read the rulebook has no prices: its address of PostgreSQL may be wrong.
    has_rulebook = services.reader.rulebook.terms is not None
    up = [postgres.status, redis.status].count("up")
    status: Literal["ready", "degraded", "unavailable"] = (
        "ready" if up == 2 and has_rulebook else "degraded" if up and has_rulebook else "unavailable"
    )
    automation = await _automation(services) if postgres.status == "up" else "unknown"
    return Readiness(status, VERSION, {"postgres": postgres, "redis": redis}, automation)


@get(
    "/metrics",
    guards=[metrics_are_open],
    security=KEY_OPTIONAL,
    media_type=MediaType.TEXT,
    operation_id="metrics",
    responses=documented(401, 503),
    summary="Prometheus metrics",
    description="The metrics of all API processes together; the workers' are at port 9191, the listener's at 9192. "
    "Open unless `PRICING_REQUIRE_METRICS_KEY` is set; any key then opens them.",
)
async def metrics(services: Services) -> Response[bytes]:
    """Return the metrics in Prometheus' text format."""
    return Response(await services.scrapes.text(), headers={"content-type": CONTENT_TYPE_LATEST})


async def _postgres_version(services: Services) -> str:
    async with services.reads.connection(timeout=PROBE_TIMEOUT_S) as conn:
        await require_writes(conn)
        # Debian appends its own version.
        return (conn.info.parameter_status("server_version") or "").partition(" ")[0]


async def _automation(services: Services) -> Literal["on", "stopped", "unknown"]:
    try:
        is_stopped = await bounded(breaker.is_stopped(services.reads), PROBE_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 # readiness says what it can
        log.info("breaker not read", error=f"{type(error).__name__}: {error}")
        return "unknown"
    return "stopped" if is_stopped else "on"


async def _redis_version(services: Services) -> str:
    cache: AsyncCache = services.cache
    if isinstance(cache, AsyncCluster):
        server = await cache.state()
    else:
        server = await cache.info()
        if server["role"] != "master":
            raise RedisUnavailable("Redis: this server is a replica, it takes no writes")
    # Valkey also reports the version of Redis that it replaces.
    return f"valkey {server['valkey_version']}" if "valkey_version" in server else str(server["redis_version"])


async def _probe(server: str, version_of: Coroutine[None, None, str]) -> Dependency:
    try:
        version = await bounded(version_of, PROBE_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 # any error means down; the response contains it
        # The driver's text contains hosts and users, and is only logged.
        log.info("server down", server=server, error=f"{type(error).__name__}: {error}")
        return Dependency("down", error="no answer" if isinstance(error, DatabaseUnavailable) else "refused or away")
    return Dependency("up", version)


router = Router("/", route_handlers=[live, ready, metrics], tags=["Operations"])
