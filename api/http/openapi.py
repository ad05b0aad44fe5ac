"""The OpenAPI document, and the page that shows it."""

from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, OpenAPIType, RequestBody, Schema, SecurityScheme, Tag
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

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


def swagger_ui() -> Path:
    """The folder of Swagger UI's files in the package that carries them, which is never imported."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package flask-swagger-ui is not installed: `just setup`")
    return Path(spec.submodule_search_locations[0]) / "dist"


def config() -> OpenAPIConfig:
    """How the API is documented, at `/docs`."""
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


def document_optional_bodies(app: Litestar) -> None:
    """Litestar documents every body as required, also one that may be left out."""
    for item in (app.openapi_schema.paths or {}).values():
        if item.post and item.post.operation_id in BODIES_OPTIONAL and isinstance(item.post.request_body, RequestBody):
            item.post.request_body.required = False
