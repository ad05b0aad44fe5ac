"""Holds: automated targets that wait for a person, listed, approved and refused."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter
from msgspec import Meta
from msgspec.structs import replace

from api import cache_sync
from api.edge.identity import needs
from api.http import cursors
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.routes.lists import Cursor, Limit, Next
from api.services import Services
from shared.access.keys import LiveKey
from shared.prices import hold_answers, holds
from shared.prices.hold_answers import Answer
from shared.prices.holds import HOLD_ID, HoldFilter, HoldStatus, HoldView
from shared.pricing.product import MAX_CATEGORY, MAX_ID
from shared.pricing.state import HoldCode

HoldId = Annotated[UUID, Parameter(description="The hold's id")]
Reason = Annotated[
    str, Meta(min_length=1, max_length=500, description="The reason, kept with the hold", examples=["a clearance"])
]
Category = Annotated[
    str, Meta(min_length=1, max_length=MAX_CATEGORY, description="Of this category only", examples=["toys"])
]
Code = Annotated[HoldCode, Meta(description="With this code only", examples=["hold_above"])]


class HoldAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's answer to one hold."""

    reason: Reason


class HoldsAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's answer to several holds; without a filter to all."""

    reason: Reason
    hold_ids: (
        Annotated[
            tuple[UUID, ...],
            Meta(min_length=1, max_length=hold_answers.MOST, description="Of these only", examples=[[HOLD_ID]]),
        ]
        | None
    ) = None
    category: Category | None = None
    code: Code | None = None


class HoldList(msgspec.Struct, frozen=True):
    """A page of holds."""

    items: Annotated[list[HoldView], Meta(description="The longest waiting first")]
    next: Next


class Answered(msgspec.Struct, frozen=True):
    """The holds that were answered."""

    answered: Annotated[int, Meta(description="Their number, at most 1,000 a call", examples=[1])]
    failed: Annotated[int, Meta(description="Products that could not be decided", examples=[0])] = 0
    left: Annotated[
        int, Meta(description="With PRICING_FOUR_EYES: those that only another key may approve", examples=[0])
    ] = 0


@get(
    "/holds",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="listHolds",
    responses=documented(401, 403, 422, 503),
    summary="Targets that wait for a person",
    description="The longest waiting first. Ended holds are kept for 90 days.",
)
def list_holds(
    services: Services,
    status: Annotated[HoldStatus, Parameter(description="With this status only")] = "open",
    product_id: Annotated[str | None, Parameter(min_length=1, max_length=MAX_ID, description="Of this product")] = None,
    category: Annotated[
        str | None, Parameter(min_length=1, max_length=MAX_CATEGORY, description="Of this category")
    ] = None,
    code: Annotated[HoldCode | None, Parameter(description="With this code only")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> HoldList:
    """List holds."""
    after: holds.Position | None = cursors.decode(cursor, holds.Position)
    chosen = HoldFilter(product_id=product_id, category=category, code=code)
    with services.transaction() as conn:
        items, last = cursors.split(holds.page(conn, status, chosen, limit + 1, after), limit)
    return HoldList(items, cursors.encode((last.since, last.hold_id)) if last else None)


_ONE: dict[str, Any] = {
    "status_code": 200,
    "guards": [needs("operate")],
    "security": [{"key": ["operate"]}],
    "dto": StrictBody[HoldAnswer],
    "return_dto": None,
    "sync_to_thread": True,
    "responses": documented(401, 403, 404, 409, 422, 503),
}
_SEVERAL = _ONE | {"dto": StrictBody[HoldsAnswer], "responses": documented(401, 403, 422, 503)}
OneAnswer = Annotated[HoldAnswer, Body(examples=[Example(value={"reason": "a clearance"})])]
ManyAnswers = Annotated[HoldsAnswer, Body(examples=[Example(value={"reason": "a clearance", "category": "toys"})])]


@post(
    "/holds/{hold_id:uuid}/approve",
    **_ONE,
    operation_id="approveHold",
    summary="Publish the target of a hold",
    description="Limited by the bounds only. 409 where the hold has ended, also because the product was written since. "
    "With PRICING_FOUR_EYES 403 where the key is behind the target: it sent one of the product's signals, asked for "
    "the recalculation, or wrote the rules that it followed.",
)
def approve_hold(request: Request[LiveKey, Any, Any], services: Services, hold_id: HoldId, data: OneAnswer) -> Answered:
    """Approve a hold."""
    return _approve(services, [hold_id], _answer(request.user, services, data.reason))


@post(
    "/holds/{hold_id:uuid}/refuse",
    **_ONE,
    operation_id="refuseHold",
    summary="Keep the price until the next decision",
    description="409 where the hold has ended. The next decision may open another one.",
)
def refuse_hold(request: Request[LiveKey, Any, Any], services: Services, hold_id: HoldId, data: OneAnswer) -> Answered:
    """Refuse a hold."""
    with services.transaction() as conn:
        return Answered(len(hold_answers.refuse(conn, [hold_id], _answer(request.user, services, data.reason))))


@post(
    "/holds/approve",
    **_SEVERAL,
    operation_id="approveHolds",
    summary="Publish the targets of several holds",
    description="Of up to 1,000 that fit the filter, the longest waiting first. Call it again until it answers 0. "
    "With PRICING_FOUR_EYES those that the key is behind are left.",
)
def approve_holds(request: Request[LiveKey, Any, Any], services: Services, data: ManyAnswers) -> Answered:
    """Approve holds."""
    return approve(services, request.user, data)


def approve(services: Services, key: LiveKey, data: HoldsAnswer) -> Answered:
    """Publish the targets of the chosen holds; with four eyes, those of other keys."""
    chosen, own = _fitting(data), None if not services.settings.four_eyes else key.id
    with services.transaction() as conn:
        found = hold_answers.chosen(conn, replace(chosen, not_key_id=own))
        left = 0 if own is None else holds.count(conn, "open", replace(chosen, key_id=own))
    return replace(_approve(services, found, _answer(key, services, data.reason)), left=left)


@post(
    "/holds/refuse",
    **_SEVERAL,
    operation_id="refuseHolds",
    summary="Keep the prices of several holds until the next decision",
    description="Of up to 1,000 that fit the filter, the longest waiting first. Call it again until it answers 0.",
)
def refuse_holds(request: Request[LiveKey, Any, Any], services: Services, data: ManyAnswers) -> Answered:
    """Refuse holds."""
    return refuse(services, request.user, data)


def refuse(services: Services, key: LiveKey, data: HoldsAnswer) -> Answered:
    """Keep the prices of the chosen holds."""
    with services.transaction() as conn:
        found = hold_answers.chosen(conn, _fitting(data))
        return Answered(len(hold_answers.refuse(conn, found, _answer(key, services, data.reason))) if found else 0)


def _answer(key: LiveKey, services: Services, reason: str) -> Answer:
    return Answer(reason, key.name, key.id, services.settings.four_eyes)


def _fitting(data: HoldsAnswer) -> HoldFilter:
    return HoldFilter(category=data.category, code=data.code, hold_ids=data.hold_ids)


def _approve(services: Services, hold_ids: Sequence[UUID], answer: Answer) -> Answered:
    if not hold_ids:
        return Answered(0)
    with services.transaction() as conn:
        found, repriced = hold_answers.approve(conn, hold_ids, answer)
        claimed = cache_sync.begin(conn, repriced.changed)
    cache_sync.run(services, claimed, list(repriced.sheets.values()))
    return Answered(len(found), len(repriced.failed))


router = Router(
    "/api/v1", route_handlers=[list_holds, approve_hold, refuse_hold, approve_holds, refuse_holds], tags=["Holds"]
)
