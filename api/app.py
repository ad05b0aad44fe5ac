"""The application: routes, documentation, error handling, lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp, HTTPScope

from api import services
from api.console import site
from api.edge import identity, metrics
from api.edge.asgi import Edge
from api.edge.audit import Audit
from api.edge.callers import Callers
from api.edge.cors import Cors
from api.edge.fast_path import FastPath, FastPathForKeys
from api.edge.limits import Limits
from api.edge.protocol import Protocol
from api.edge.rates import Rates
from api.edge.tracing import RequestTraces
from api.http import idempotency, negotiation, openapi, problems
from api.routes import (
    audit_log,
    automation,
    breaker,
    exchange_rates,
    health,
    holds,
    imports,
    keys,
    lists,
    manual_prices,
    market_events,
    offers,
    plans,
    price_changes,
    price_list_entries,
    prices,
    products,
    recalculations,
    rule_parts,
    rulebook,
    tasks,
    undo,
    webhooks,
)
from api.services import Services
from shared import addresses
from shared.access.keys import LiveKey
from shared.processes import exit_with_parent, prepare_structs
from shared.settings import Settings, load
from shared.telemetry import logs

MAX_BODY_BYTES = 1_000_000


def create_app() -> ASGIApp:
    """The ASGI application that Granian serves in each worker process."""
    settings = load()
    logs.configure(services.PROCESS, settings)
    exit_with_parent(grace_s=settings.drain_timeout_s)
    limits = Limits(settings.body_timeout_s, settings.port, settings.max_requests, settings.max_streams)
    app = create_litestar(settings, limits)

    def key_of(scope: HTTPScope) -> LiveKey | None:
        return identity.key_of(running_services(app.state), scope)

    traces = RequestTraces(settings.trace_read_ratio, settings.trace_write_ratio, settings.trace_reads_per_s, key_of)
    callers = Callers(addresses.networks(settings.trusted_proxies))
    rates = Rates(lambda: running_services(app.state).rate_limits, key_of, callers, settings.limit_loopback)
    cors = Cors(settings.cors_origins)
    is_usual = cors.is_usual if cors.is_on else negotiation.is_usual
    kind = FastPathForKeys if settings.require_read_key else FastPath
    audited = Audit(Protocol(app, cors), lambda: running_services(app.state).audit_log)
    fast_path = kind(lambda: running_services(app.state), is_usual, limits.bulkheads)
    app.state.leave_limited = fast_path.leave_limited
    prepare_structs()
    return Edge(audited, fast_path, traces, limits, rates, cors)


def create_litestar(settings: Settings, limits: Limits) -> Litestar:
    """The application without the edge around it."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with services.running(settings) as running, limits.in_force():
            app.state.services = running
            limits.on_drain(running.streams.end)
            running.keys.on_limits(app.state.get("leave_limited", lambda _: None))
            yield
            metrics.flush()

    app = Litestar(
        route_handlers=[
            *(
                module.router
                for module in (
                    *(prices, market_events, recalculations, tasks, products, lists, price_list_entries),
                    *(rulebook, rule_parts, exchange_rates, automation, manual_prices, breaker, holds, plans, undo),
                    *(imports, price_changes, webhooks, offers, keys, audit_log, health),
                )
            ),
            openapi.assets(),
            openapi.usual_address,
            *site.handlers(),
        ],
        dependencies={"services": Provide(running_services, sync_to_thread=False)},
        lifespan=[lifespan],
        before_request=_before,
        exception_handlers={Exception: problems.to_response},
        openapi_config=openapi.config(),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    openapi.complete(app)
    app.state.query_parameters = negotiation.query_parameters(app)
    return app


async def _before(request: Request[Any, Any, Any]) -> Response[bytes] | None:
    """What happens between the guards and a handler; the answer, where the handler has nothing to do."""
    await negotiation.check(request)
    return await idempotency.begin(request)


def running_services(state: State) -> Services:
    """The services of a started application."""
    running: Services = state.services
    return running
