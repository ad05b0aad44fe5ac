"""The OpenAPI document, and the page that displays it."""

from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    RequestBody,
    Schema,
    SecurityScheme,
    Tag,
)
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from api.http.event_bodies import BATCH_TYPE, MOST_EVENTS

BODIES_OPTIONAL = ("publishMarketEvent", "recalculate")
ASSETS = "/assets/swagger-ui"


class DecimalAsString(OpenAPISchemaPlugin):
    """Documents amounts as they are on the wire: strings of digits."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether this is a Decimal."""
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """A string; numbers are accepted too, and read exactly from their digits."""
        return Schema(type=OpenAPIType.STRING, pattern=r"^\d+(\.\d+)?$")


def swagger_ui() -> Path:
    """The folder of Swagger UI's files; their package is located, never imported."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package flask-swagger-ui is not installed: `just setup`")
    return Path(spec.submodule_search_locations[0]) / "dist"


def config() -> OpenAPIConfig:
    """The settings of the document and of its page at `/docs`."""
    return OpenAPIConfig(
        title="Pricing engine",
        version="1",
        description="The price of a product for a place, a customer and a time. Amounts are decimal strings, never "
        "floats. "
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
            Tag("Prices", "The price of a product for a place, a customer and a time."),
            Tag("Market events", "Changes in the market."),
            Tag("Tasks", "Background jobs."),
            Tag("Products", "The catalogue, with published prices and their history."),
            Tag("Operations", "Health and metrics."),
        ],
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer", description="An API key")}
        ),
    )


def complete_bodies(app: Litestar) -> None:
    """Add what Litestar cannot derive: optional bodies, and the batch of CloudEvents."""
    for item in (app.openapi_schema.paths or {}).values():
        body = item.post and item.post.request_body
        if not item.post or not isinstance(body, RequestBody) or item.post.operation_id not in BODIES_OPTIONAL:
            continue
        body.required = False
        if item.post.operation_id == "publishMarketEvent":
            body.content[BATCH_TYPE] = OpenAPIMediaType(schema=_EVENTS)


_EVENTS = Schema(
    type=OpenAPIType.ARRAY,
    min_items=1,
    max_items=MOST_EVENTS,
    description="CloudEvents 1.0 in JSON",
    items=Schema(
        type=OpenAPIType.OBJECT,
        required=["specversion", "id", "source", "type"],
        properties={
            "specversion": Schema(type=OpenAPIType.STRING, examples=["1.0"], description="The version of CloudEvents"),
            "id": Schema(type=OpenAPIType.STRING, examples=["e-1"], description="With `source`, identifies the event"),
            "source": Schema(type=OpenAPIType.STRING, examples=["repricer"], description="The event's sender"),
            "type": Schema(type=OpenAPIType.STRING, examples=["demand_changed"], description="As for a single event"),
            "time": Schema(
                type=OpenAPIType.STRING,
                format=OpenAPIFormat.DATE_TIME,
                description="The time of the change. Default: now",
            ),
            "data": Schema(type=OpenAPIType.OBJECT, description="The event's data, by its type"),
            "traceparent": Schema(type=OpenAPIType.STRING, description="The event's trace context"),
        },
    ),
)
