"""The OpenAPI document, and the page that displays it."""

from dataclasses import replace
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Litestar, Response, Router, get
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
    Tag,
)
from litestar.response import File, Redirect
from litestar.routes import HTTPRoute

from api.http import examples, idempotency, schemas
from api.http.event_bodies import BATCH_TYPE, MOST_EVENTS
from api.http.problems import MEANINGS, MEDIA_TYPE
from shared.errors import NotFound

STREAM = "streamPriceChanges"
# Answers in CSV, too.
CSV_TOO = "listPlanItems"
BODIES_OPTIONAL = ("publishMarketEvent", "recalculate")
ASSETS = "/assets/swagger-ui"
LARGEST_ASSET = 10_000_000


def swagger_ui() -> Path:
    """The folder of Swagger UI's files; their package is located, never imported."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package flask-swagger-ui is not installed: `just setup`")
    return Path(spec.submodule_search_locations[0]) / "dist"


def assets() -> HTTPRouteHandler:
    """The handler of Swagger UI's files. A request never reaches the file system by a name of its own."""
    files = {path.name: path for path in swagger_ui().iterdir() if path.is_file()}

    @get(f"{ASSETS}/{{name:str}}", include_in_schema=False)
    async def asset(name: str) -> File:
        if name not in files:
            raise NotFound(f"no file {name!r}")
        # In one piece: an answer in pieces is not compressed.
        return File(files[name], filename=name, content_disposition_type="inline", chunk_size=LARGEST_ASSET)

    return asset


@get("/openapi.json", include_in_schema=False)
async def usual_address() -> Redirect:
    """Lead generators to the document."""
    return Redirect("/docs/openapi.json", status_code=307)


def config() -> OpenAPIConfig:
    """The settings of the document and of its page at `/docs`."""
    return OpenAPIConfig(
        title="Pricing engine",
        version="1",
        description="The price of a product for a place, a customer and a time. Amounts are decimal strings, never "
        "floats. "
        "Errors are RFC 9457 problem documents. Price queries need no key, unless the operator wants "
        "one. Everything else needs an API key with the scope that the operation names: `just key` prints the first "
        "key, which may do everything.",
        openapi_router=Router(
            "/docs",
            route_handlers=[],
            include_in_schema=False,
            dto=None,
            return_dto=None,
            after_request=_no_page_of_its_own,
        ),
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
            Tag("Offers", "Prices that are guaranteed until an instant."),
            Tag("Market events", "Changes in the market."),
            Tag("Tasks", "Background jobs."),
            Tag("Changes", "Changes as they happen."),
            Tag("Products", "The catalogue, with published prices and their history."),
            Tag("Rulebook", "What people decide beside products: policy, markets, price lists, promotions; and rates."),
            Tag("Keys", "API keys."),
            Tag("Operations", "Health and metrics."),
        ],
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer", description="An API key")}
        ),
    )


async def _no_page_of_its_own(response: Response[Any]) -> Response[Any]:
    """Leave the answer to an unknown page to the problems: Litestar's own is HTML."""
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise NotFound("no such page; the document is at /docs")
    return response


def complete(app: Litestar) -> None:
    """Add what Litestar cannot derive: optional bodies, the batch of CloudEvents, and the statuses of every request."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            # Litestar keeps the handlers of a path in a set. In its order, the document would differ by process.
            route.route_handler_map = dict(sorted(route.route_handler_map.items()))
    for path, item in (app.openapi_schema.paths or {}).items():
        for method in ("get", "put", "post", "delete", "patch"):
            operation: Operation | None = getattr(item, method)
            if operation is None:
                continue
            body = operation.request_body
            for parameter in operation.parameters or []:
                if isinstance(parameter, Parameter):
                    parameter.schema = _without_null(parameter.schema)
            if operation.operation_id == CSV_TOO:
                _add_csv(operation)
            _add_statuses(operation, has_tag=method == "get" and operation.operation_id != STREAM)
            if idempotency.is_write(method.upper(), path):
                _add_idempotency(operation)
            if not isinstance(body, RequestBody) or operation.operation_id not in BODIES_OPTIONAL:
                continue
            body.required = False
            for content in body.content.values():
                content.schema = _without_null(content.schema)
            if operation.operation_id == "publishMarketEvent":
                body.content[BATCH_TYPE] = OpenAPIMediaType(schema=_EVENTS)
    schemas.replace(app)
    _add_examples(app)


def _without_null(schema: Any) -> Any:
    """The schema of a parameter or body that may be left out: null cannot be sent."""
    if not isinstance(schema, Schema):
        return schema
    if isinstance(schema.type, list):
        kinds = [kind for kind in schema.type if kind != OpenAPIType.NULL]
        return replace(schema, type=kinds[0] if len(kinds) == 1 else kinds)
    choices = [each for each in schema.one_of or () if not (isinstance(each, Schema) and each.type == OpenAPIType.NULL)]
    if len(choices) != 1:
        return replace(schema, one_of=choices) if schema.one_of else schema
    (only,) = choices
    if isinstance(only, Reference):
        return only
    told = {name: value for name in ("description", "examples") if (value := getattr(schema, name)) is not None}
    return replace(only, **told)


def _add_examples(app: Litestar) -> None:
    """One example for each status of each operation; those of problems stand among the components."""
    document = app.openapi_schema
    components: dict[str, Any] = dict(document.components.schemas or {})
    problems: dict[str, Any] = {}
    operations = [
        operation
        for item in (document.paths or {}).values()
        for operation in (item.get, item.put, item.post, item.delete, item.patch)
        if operation is not None
    ]
    for operation in operations:
        for status, response in (operation.responses or {}).items():
            if not isinstance(response, OpenAPIResponse) or response.content is None:
                continue
            for kind, media in response.content.items():
                if kind == MEDIA_TYPE:
                    problems.setdefault(f"Problem{status}", Example(value=examples.problem(int(status))))
                    example: Any = Reference(ref=f"#/components/examples/Problem{status}")
                elif kind.endswith("json") and media.schema is not None:
                    example = Example(value=examples.Whole(examples.of(media.schema.to_schema(), components)))
                else:
                    continue
                # Several statuses share a content.
                response.content = {**response.content, kind: replace(media, examples={"example": example})}
    document.components.examples = problems
    whole: Any = {name: examples.Whole(schema) for name, schema in components.items()}
    document.components.schemas = whole


def _add_statuses(operation: Operation, *, has_tag: bool) -> None:
    """The statuses of `api.http.negotiation`, of the limits and of entity tags, beside the documented 400."""
    responses = operation.responses or {}
    if "400" not in responses:
        return
    for status in (406, 414, 429, *((408, 413, 415) if operation.request_body else ())):
        responses[str(status)] = replace(responses["400"], description=MEANINGS[status])
    if has_tag:
        responses["304"] = OpenAPIResponse(description="The caller has the answer: `If-None-Match` names its `ETag`")
        operation.parameters = [*(operation.parameters or []), _IF_NONE_MATCH]
    found = responses.get("200")
    if isinstance(found, OpenAPIResponse) and (has_tag or "412" in responses):
        found.headers = {**(found.headers or {}), "ETag": _ETAG}


def _add_csv(operation: Operation) -> None:
    found = (operation.responses or {}).get("200")
    if isinstance(found, OpenAPIResponse) and found.content is not None:
        shown = found.content[MediaType.JSON].schema
        if isinstance(shown, Schema) and shown.one_of:  # of the union with the stream
            found.content[MediaType.JSON] = OpenAPIMediaType(schema=shown.one_of[0])
        found.content["text/csv"] = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))


def _add_idempotency(operation: Operation) -> None:
    responses = operation.responses or {}
    responses["409"] = replace(responses["400"], description=MEANINGS[409])
    operation.parameters = [*(operation.parameters or []), _IDEMPOTENCY_KEY]
    for status, response in responses.items():
        if status.startswith("2") and isinstance(response, OpenAPIResponse):
            response.headers = {**(response.headers or {}), "Idempotency-Replayed": _REPLAYED}


_IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    param_in="header",
    schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=idempotency.LONGEST_KEY, pattern=r"^[ -~]+$"),
    description="Your name for this request. Sent again within a day, it is answered as before and not done again",
)
_REPLAYED = OpenAPIHeader(
    schema=Schema(type=OpenAPIType.STRING), description="`true`: the answer to an earlier request with this key"
)
_ETAG = OpenAPIHeader(schema=Schema(type=OpenAPIType.STRING), description="Stands for this state of the resource")
_IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    param_in="header",
    schema=Schema(type=OpenAPIType.STRING),
    description="The `ETag` of an answer that the caller has",
)

_EVENTS = Schema(
    type=OpenAPIType.ARRAY,
    min_items=1,
    max_items=MOST_EVENTS,
    description="CloudEvents 1.0 in JSON. Each is answered by itself, a wrong one by an error",
    items=Reference(ref="#/components/schemas/CloudEvent"),
)
