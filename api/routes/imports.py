"""Imports: a file is sent and checked; then it is applied, or a plan names it."""

import asyncio
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get, post
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import Parameter, QueryParameter

from api.edge.identity import needs
from api.http.problems import documented
from api.plan_writes import PlanAccepted, enqueue
from api.routes.rule_parts import Confirm
from api.services import Services
from shared.access.keys import LiveKey
from shared.catalogue import staged_imports
from shared.catalogue.product_set import ProductSet
from shared.catalogue.staged_imports import StagedImport
from shared.errors import Forbidden, InvalidInput, StalePlan
from shared.importing import planned, source
from shared.importing.columns import Columns, RefusedFile, constants, parse_map
from shared.plans import making, trial
from shared.plans.changes import Change
from shared.plans.store import Author
from shared.pricing.product import MAX_CATEGORY
from shared.telemetry import propagation, spans
from shared.telemetry.tracing import current_trace_id

MAX_BODY_BYTES = 64_000_000
TYPES = ("text/csv", "application/x-ndjson", "application/octet-stream")


class _Upload(Operation):
    """The operation with its body, which Litestar does not read."""

    def __post_init__(self) -> None:
        content = {kind: OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING)) for kind in TYPES}
        self.request_body = RequestBody(content=content, required=True, description="CSV or JSON Lines, plain or gzip")


@post(
    "/imports",
    guards=[needs("catalogue:write")],
    security=[{"key": ["catalogue:write"]}],
    status_code=202,
    return_dto=None,
    request_max_body_size=MAX_BODY_BYTES,
    operation_class=_Upload,
    operation_id="createImport",
    responses=documented(401, 403, 413, 422, 503),
    summary="Send a file of products",
    description="CSV with a header or JSON Lines, as `just import` reads them, up to 64 MB. All rows are checked, and "
    "those that create or change a product wait: no product is written. Columns that the file has not leave their "
    'values. `POST …/apply` writes them, or a plan names the import: `{"changes": [{"import": ID}]}`. 422 names the '
    "first bad row. Imports are kept as long as plans.",
)
async def create_import(
    request: Request[LiveKey, Any, Any],
    services: Services,
    names: Annotated[
        str | None,
        QueryParameter(name="map", max_length=4000, description="Our columns and the file's: `ours=theirs,…`"),
    ] = None,
    currency: Annotated[str | None, Parameter(max_length=3, description="The currency of rows that have none")] = None,
    category: Annotated[
        str | None, Parameter(max_length=MAX_CATEGORY, description="The category of rows that have none")
    ] = None,
    skip_bad: Annotated[bool, Parameter(description="Leave bad rows out")] = False,
) -> StagedImport:
    """Stage an import."""
    try:
        columns = Columns(parse_map(names or ""), constants(currency=currency, category=category))
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    with NamedTemporaryFile(prefix="pricing-import-") as file:
        async for chunk in request.stream():
            file.write(chunk)
        file.flush()
        return await asyncio.to_thread(_stage, services, Path(file.name), columns, request.user, skip_bad)


@get(
    "/imports/{import_id:uuid}",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="getImport",
    responses=documented(401, 403, 404, 422, 503),
    summary="An import that waits",
    description="Its counts. Plans name it, also several ones.",
)
def get_import(
    services: Services, import_id: Annotated[UUID, Parameter(description="The import's id")]
) -> StagedImport:
    """Look up a staged import."""
    with services.transaction() as conn:
        return staged_imports.find(conn, import_id)


@post(
    "/imports/{import_id:uuid}/apply",
    guards=[needs("catalogue:write")],
    security=[{"key": ["catalogue:write"]}],
    status_code=202,
    return_dto=None,
    sync_to_thread=True,
    operation_id="applyImport",
    responses=documented(401, 403, 404, 409, 422, 503),
    summary="Write the products of an import",
    description="A plan of the import is made and applied without a further call; its id is the answer. 409 "
    "`stale-plan`: one of the products was written since the file was sent. 409 `plan-first`: the import would move "
    "too many prices too far, unless `confirm=true`. Where the inputs change while the plan is made, it stays `ready`, "
    "for a person.",
)
def apply_import(
    request: Request[LiveKey, Any, Any],
    services: Services,
    import_id: Annotated[UUID, Parameter(description="The import's id")],
    confirm: Confirm = False,
) -> PlanAccepted:
    """Apply a staged import."""
    with services.transaction() as conn:
        staged = staged_imports.find(conn, import_id)
        if services.settings.four_eyes and staged.key_id == request.user.id:
            raise Forbidden("PRICING_FOUR_EYES: another key than the import's author must apply it")
        if written := staged_imports.written_since(conn, [import_id], staged.created_at):
            raise StalePlan(f"written since the file was sent: {', '.join(written)}; send it again")
    if not confirm:
        _try(services, staged)
    author, traceparent = Author(request.user.name, request.user.id), propagation.current()["traceparent"]
    with services.transaction() as conn:
        made = making.make(conn, [Change(import_=import_id)], author, traceparent, ProductSet(), applies=True)
    spans.annotate(plan_id=str(made.plan_id))
    enqueue(services, "plan", made.task_id)
    return PlanAccepted(made.plan_id, "queued", current_trace_id())


def _try(services: Services, staged: StagedImport) -> None:
    """Try an import on a sample of the products that it changes; new ones move no price."""
    with services.transaction() as conn:
        sample = staged_imports.sample(conn, staged.import_id, trial.SAMPLE)
    trial.check(services.transaction, *(Change(product=product) for product in sample), of=staged.changed)


def _stage(services: Services, path: Path, columns: Columns, caller: LiveKey, skip_bad: bool) -> StagedImport:
    try:
        with services.transaction() as conn, source.opened(path) as opened:
            return planned.stage(conn, opened, columns, caller.name, skip_bad=skip_bad, key_id=caller.id)
    except RefusedFile as refused:
        raise InvalidInput(str(refused)) from None


router = Router("/api/v1", route_handlers=[create_import, get_import, apply_import], tags=["Plans"])
