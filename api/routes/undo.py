"""Undo: a plan that takes back a run, an event, a plan or everything since an instant."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, post
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from api import plan_writes
from api.edge.identity import needs
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.plan_writes import PlanAccepted
from api.routes.plans import Caller
from api.services import Services
from shared.errors import InvalidInput
from shared.plans.undo_making import Asked
from shared.plans.views import PLAN_ID
from shared.wire.fields import AT, TASK_ID

EventName = Annotated[str, Meta(min_length=1, max_length=200)]


class NewUndo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is undone: exactly one of these."""

    run: Annotated[UUID | None, Meta(description="A recalculation, by its task", examples=[TASK_ID])] = None
    event: Annotated[EventName | None, Meta(description="A market event", examples=["e-1"])] = None
    source: Annotated[
        EventName | None, Meta(description="The event's source. Default: the latest of that id", examples=["crawler"])
    ] = None
    plan: Annotated[UUID | None, Meta(description="An applied plan", examples=[PLAN_ID])] = None
    import_: Annotated[
        UUID | None,
        Meta(
            description="An import of products, or of prices of a list, by the id of its cause in the history",
            examples=[PLAN_ID],
        ),
    ] = msgspec.field(default=None, name="import")
    since: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="Everything that automation did since this instant", examples=[AT]),
    ] = None

    @property
    def asked(self) -> Asked:
        """The subject.

        Raises:
            InvalidInput: there is none, or several.
        """
        try:
            return Asked(**msgspec.structs.asdict(self))
        except ValueError as error:
            raise InvalidInput(str(error)) from None


@post(
    "/undo",
    status_code=202,
    guards=[needs("operate"), needs("catalogue:read")],
    security=[{"key": ["operate", "catalogue:read"]}],
    dto=StrictBody[NewUndo],
    return_dto=None,
    sync_to_thread=True,
    operation_id="createUndo",
    responses=documented(401, 403, 404, 409, 422, 503),
    summary="Plan an undo: nothing is changed before it is applied",
    description="Where the price in force was caused by the subject, or by automation after it, the last price before "
    "it is restored. Products that a person wrote since are left alone and listed. 409 while the subject runs, "
    "or where a part of the rulebook that the plan wrote changed since; 422 "
    "`no-history` where it lies before the retained history. The answer is a plan.",
)
def create_undo(
    request: Caller,
    services: Services,
    data: Annotated[NewUndo, Body(examples=[Example(value={"run": TASK_ID})])],
) -> PlanAccepted:
    """Queue the plan of an undo."""
    return plan_writes.make_undo(services, request.user, data.asked)


router = Router("/api/v1", route_handlers=[create_undo], tags=["Plans"])
