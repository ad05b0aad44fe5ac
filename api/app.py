"""The application: routes, documentation, error handling, lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, OpenAPIType, RequestBody, Schema, SecurityScheme, Tag
from litestar.plugins import OpenAPISchemaPlugin
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp
from litestar.typing import FieldDefinition

from api import problems, request_metrics, services
from api.edge import Edge
from api.price_lane import PriceLane
from api.routes import events, operations, prices, products, tasks
from api.services import Services
from shared.processes import end_with_parent
from shared.settings import Settings, load
from shared.telemetry import logs

MAX_BODY_BYTES = 1_000_000
BODIES_OPTIONAL = ("publishMarketEvent", "recalculate")
ASSETS = "/assets/swagger-ui"


class DecimalAsString(OpenAPISchemaPlugin):
    """Documents amounts as what they are on the wire: strings of digits."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether this is a Decimal."""
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """A string; numbers are taken too, read exactly from their digits."""
        return Schema(type=OpenAPIType.STRING, pattern=r"^\d+(\.\d+)?$")


def create_app() -> ASGIApp:
    """What Granian serves in each worker process."""
    settings = load()
    logs.configure(services.PROCESS, settings)
    end_with_parent(grace_s=settings.drain_timeout_s)
    app = create_litestar(settings)
    return Edge(app, PriceLane(lambda: running_services(app.state)), settings.trace_read_ratio)


def create_litestar(settings: Settings) -> Litestar:
    """The application without the edge around it."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with services.running(settings) as running:
            app.state.services = running
            yield
            request_metrics.flush()

    app = Litestar(
        route_handlers=[
            *(module.router for module in (prices, events, tasks, products, operations)),
            create_static_files_router(ASSETS, [_swagger_ui()], include_in_schema=False),
        ],
        dependencies={"services": Provide(running_services, sync_to_thread=False)},
        lifespan=[lifespan],
        exception_handlers={Exception: problems.to_response},
        openapi_config=_openapi(),
        plugins=[DecimalAsString()],
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    _document_optional_bodies(app)
    return app


def _document_optional_bodies(app: Litestar) -> None:
    """Litestar documents every body as required, also one that may be left out."""
    for item in (app.openapi_schema.paths or {}).values():
        if item.post and item.post.operation_id in BODIES_OPTIONAL and isinstance(item.post.request_body, RequestBody):
            item.post.request_body.required = False


def running_services(state: State) -> Services:
    """The services of a started application."""
    running: Services = state.services
    return running


def _swagger_ui() -> Path:
    """The folder of Swagger UI's files in the package that carries them; Flask itself is never imported."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package flask-swagger-ui is not installed: `just setup`")
    return Path(spec.submodule_search_locations[0]) / "dist"


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Pricing engine",
        version="1",
        description="What does this cost, here, for this customer, now? Amounts are decimal strings, never floats. "
        "Errors are RFC 9457 problem documents. Writes need an API key: `just key` prints the first one.",
        path="/docs",
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{ASSETS}/swagger-ui-bundle.js",
                standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
                css_url=f"{ASSETS}/swagger-ui.css",
                favicon=f"<link rel='icon' href='{ASSETS}/favicon-32x32.png'>",
            )
        ],
        tags=[
            Tag("Prices", "What does this cost, here, for this customer, now?"),
            Tag("Market events", "What happened in the market."),
            Tag("Tasks", "Background jobs."),
            Tag("Products", "The catalogue, and what it has cost."),
            Tag("Operations", "Health and metrics."),
        ],
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer", description="An API key")}
        ),
    )
