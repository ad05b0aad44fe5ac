"""The breaker: whether it has stopped automation, and its reset by a person."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from api.edge.identity import needs
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.services import Services
from shared.access.keys import LiveKey
from shared.catalogue.product_set import ProductSet
from shared.jobs import tasks
from shared.prices import breaker
from shared.prices.breaker import BreakerView
from shared.rulebook import store as rulebook
from shared.telemetry import propagation


class BreakerReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's decision to let automation go on."""

    reason: Annotated[
        str, Meta(min_length=1, max_length=500, description="The reason", examples=["the feed is corrected"])
    ]


@get(
    "/breaker",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="getBreaker",
    responses=documented(401, 403, 503),
    summary="Whether the breaker has stopped automation",
    description="With the products that count within its window, and the number above which it opens.",
)
def get_breaker(services: Services) -> BreakerView:
    """Look up the breaker."""
    with services.transaction() as conn:
        return breaker.view(conn, rulebook.active_policy(conn).policy.breaker)


@post(
    "/breaker/reset",
    status_code=200,
    guards=[needs("operate")],
    security=[{"key": ["operate"]}],
    dto=StrictBody[BreakerReset],
    return_dto=None,
    sync_to_thread=True,
    operation_id="resetBreaker",
    responses=documented(401, 403, 409, 422, 503),
    summary="Let automation go on",
    description="409 where the breaker is not open. The products that it held are decided again at once.",
)
def reset_breaker(
    request: Request[LiveKey, Any, Any],
    services: Services,
    data: Annotated[BreakerReset, Body(examples=[Example(value={"reason": "the feed is corrected"})])],
) -> BreakerView:
    """Reset the breaker."""
    return reset(services, request.user, data)


def reset(services: Services, key: LiveKey, data: BreakerReset) -> BreakerView:
    """Let automation go on; what the breaker held is decided again."""
    with services.transaction() as conn:
        if not breaker.reset(conn, data.reason, key.name):
            tasks.create(conn, "recalculation", ProductSet(), propagation.current()["traceparent"])
        return breaker.view(conn, rulebook.active_policy(conn).policy.breaker)


router = Router("/api/v1", route_handlers=[get_breaker, reset_breaker], tags=["Automation"])
