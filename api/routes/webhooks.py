"""Webhooks: endpoints to which changes are sent."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from litestar import Request, Router, delete, get, post, put
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter
from msgspec import Meta

from api.edge.identity import needs
from api.http import cursors
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.routes.lists import Cursor, Limit, Next
from api.services import Services
from shared.access.keys import LiveKey
from shared.changes import log, webhooks
from shared.changes.endpoints import LONGEST_URL, Unusable
from shared.changes.entries import ChangeType
from shared.changes.sending import CallFailed, Message
from shared.changes.webhooks import MOST_WEBHOOKS, Endpoint, WebhookView
from shared.errors import InvalidInput, NotFound
from shared.postgres import clock
from shared.pricing.product import MAX_CATEGORY, ProductId

WebhookId = Annotated[
    str,
    Parameter(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="The webhook's id, your choice",
    ),
]
URL = "https://shop.example.com/prices"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 # an example
Secret = Annotated[str, Meta(description="Signs the calls, by Standard Webhooks; shown this once", examples=[SECRET])]


class NewWebhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An endpoint, and what it wants."""

    url: Annotated[str, Meta(min_length=1, max_length=LONGEST_URL, description="Its address", examples=[URL])]
    types: Annotated[
        tuple[ChangeType, ...], Meta(min_length=1, max_length=6, description="Types of changes", examples=[["prices"]])
    ] = ("prices", "rules", "window")
    product_ids: Annotated[
        tuple[ProductId, ...],
        Meta(max_length=1_000, description="Prices and holds of these products only; empty: of all", examples=[[]]),
    ] = ()
    category: Annotated[
        Annotated[str, Meta(min_length=1, max_length=MAX_CATEGORY)] | None,
        Meta(description="Prices of this category only; null: of all", examples=["toys"]),
    ] = None


class WebhookAnswer(msgspec.Struct, frozen=True):
    """A written webhook."""

    webhook: Annotated[WebhookView, Meta(description="The webhook")]
    secret: Annotated[
        str | None,
        Meta(description="Signs its calls; only in the answer that makes the webhook, else null", examples=[SECRET]),
    ]


class NewSecret(msgspec.Struct, frozen=True):
    """A new secret; the former one also signs for 24 hours."""

    secret: Secret


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to begin again."""

    change_id: Annotated[
        int, Meta(ge=0, le=2**53 - 1, description="Send everything behind this change; 0: behind none", examples=[4711])
    ]


class TestResult(msgspec.Struct, frozen=True):
    """The outcome of a test call."""

    is_accepted: Annotated[bool, Meta(description="Whether the endpoint answered 2xx in time", examples=[True])]
    seconds: Annotated[float | None, Meta(description="The time that it took; null: it failed", examples=[0.12])]
    error: Annotated[str | None, Meta(description="Why it failed", examples=["it answered 500"])]


class WebhookList(msgspec.Struct, frozen=True):
    """A page of webhooks."""

    items: Annotated[list[WebhookView], Meta(description="In the order of their ids")]
    next: Next


_OPERATE: dict[str, Any] = {
    "guards": [needs("operate")],
    "security": [{"key": ["operate"]}],
    "sync_to_thread": True,
}


@put(
    "/webhooks/{webhook_id:str}",
    **_OPERATE,
    dto=StrictBody[NewWebhook],
    return_dto=None,
    operation_id="putWebhook",
    responses=documented(401, 403, 422, 503),
    summary="Write a webhook",
    description="A new one begins with the next change, and its answer has the secret. One that exists keeps its "
    "secret and its position, and is active again. An address that is not public is refused, unless "
    "`PRICING_WEBHOOK_NETWORKS` allows it. This call takes no `Idempotency-Key`.",
)
def put_webhook(
    request: Request[LiveKey, Any, Any],
    services: Services,
    webhook_id: WebhookId,
    data: Annotated[NewWebhook, Body(examples=[Example(value={"url": URL, "types": ["prices"]})])],
) -> WebhookAnswer:
    """Write a webhook."""
    try:
        services.webhook_sender.check(data.url)
    except Unusable as error:
        raise InvalidInput(str(error), "$.url") from None
    endpoint = Endpoint(url=data.url, types=data.types, product_ids=data.product_ids, category=data.category)
    with services.transaction() as conn:
        secret = webhooks.put(conn, webhook_id, endpoint, request.user.name)
        if secret is not None and webhooks.count(conn) > MOST_WEBHOOKS:
            raise InvalidInput(f"there are {MOST_WEBHOOKS} webhooks already: delete one first")
        return WebhookAnswer(webhooks.view(conn, webhook_id), secret)


@get(
    "/webhooks",
    **_OPERATE,
    operation_id="listWebhooks",
    responses=documented(401, 403, 422, 503),
    summary="Webhooks",
    description="In the order of their ids.",
)
def list_webhooks(services: Services, limit: Limit = 100, cursor: Cursor = None) -> WebhookList:
    """List webhooks."""
    after: str | None = cursors.decode(cursor, str)
    with services.transaction() as conn:
        items, last = cursors.split(webhooks.page(conn, limit + 1, after), limit)
    return WebhookList(items, cursors.encode(last.webhook_id) if last else None)


@get(
    "/webhooks/{webhook_id:str}",
    **_OPERATE,
    operation_id="getWebhook",
    responses=documented(401, 403, 404, 422, 503),
    summary="A webhook and its state",
    description="How far it has got, and why its last call failed.",
)
def get_webhook(services: Services, webhook_id: WebhookId) -> WebhookView:
    """Look up a webhook."""
    with services.transaction() as conn:
        return webhooks.view(conn, webhook_id)


@delete(
    "/webhooks/{webhook_id:str}",
    **_OPERATE,
    operation_id="deleteWebhook",
    responses=documented(401, 403, 404, 422, 503),
    summary="Delete a webhook",
    description="A call under way may still arrive.",
)
def delete_webhook(services: Services, webhook_id: WebhookId) -> None:
    """Delete a webhook."""
    with services.transaction() as conn:
        if not webhooks.delete(conn, webhook_id):
            raise NotFound(f"no webhook {webhook_id!r}")


_CALL: dict[str, Any] = _OPERATE | {"status_code": 200, "responses": documented(401, 403, 404, 422, 503)}


@post(
    "/webhooks/{webhook_id:str}/test",
    **_CALL,
    operation_id="testWebhook",
    summary="Send a test call",
    description="A signed message of type `test`, sent at once. The outcome is the answer; the state stays.",
)
def test_webhook(services: Services, webhook_id: WebhookId) -> TestResult:
    """Send a test call."""
    now = datetime.now(UTC)
    with services.transaction() as conn:
        url = webhooks.view(conn, webhook_id).url
        secrets = webhooks.secrets_of(conn, webhook_id, clock.now(conn))
    body = {"type": "test", "timestamp": now, "data": {"webhook_id": webhook_id}}
    message = Message(f"{webhook_id}-test-{uuid4()}", msgspec.json.encode(body).decode())
    try:
        return TestResult(True, round(services.webhook_sender.send(url, message, secrets, now), 3), None)
    except CallFailed as error:
        return TestResult(False, None, str(error))


@post(
    "/webhooks/{webhook_id:str}/replay",
    **_CALL | {"responses": documented(401, 403, 404, 410, 422, 503)},
    dto=StrictBody[Replay],
    return_dto=None,
    operation_id="replayWebhook",
    summary="Send changes again",
    description="Everything behind a change, at once, also where the webhook was suspended. 410 where the log does "
    "not go back that far.",
)
def replay_webhook(
    services: Services,
    webhook_id: WebhookId,
    data: Annotated[Replay, Body(examples=[Example(value={"change_id": 4711})])],
) -> WebhookView:
    """Send changes again."""
    with services.transaction() as conn:
        log.check(conn, data.change_id)
        webhooks.resume(conn, webhook_id, data.change_id)
        return webhooks.view(conn, webhook_id)


@post(
    "/webhooks/{webhook_id:str}/resume",
    **_CALL,
    operation_id="resumeWebhook",
    summary="Go on with a webhook",
    description="Where it was, at once, also where it was suspended.",
)
def resume_webhook(services: Services, webhook_id: WebhookId) -> WebhookView:
    """Go on with a webhook."""
    with services.transaction() as conn:
        webhooks.resume(conn, webhook_id)
        return webhooks.view(conn, webhook_id)


@post(
    "/webhooks/{webhook_id:str}/rotate-secret",
    **_CALL,
    operation_id="rotateWebhookSecret",
    summary="Give a webhook a new secret",
    description="The former secret also signs for 24 hours. This call takes no `Idempotency-Key`.",
)
def rotate_webhook_secret(services: Services, webhook_id: WebhookId) -> NewSecret:
    """Rotate the secret."""
    with services.transaction() as conn:
        return NewSecret(webhooks.rotate(conn, webhook_id, clock.now(conn)))


router = Router(
    "/api/v1",
    route_handlers=[
        list_webhooks,
        get_webhook,
        put_webhook,
        delete_webhook,
        test_webhook,
        replay_webhook,
        resume_webhook,
        rotate_webhook_secret,
    ],
    tags=["Changes"],
)
