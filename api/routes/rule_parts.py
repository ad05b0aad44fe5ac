"""The parts of the rulebook, each written by itself: the policy, markets, price lists and promotions."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, put
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter, Parameter
from msgspec import Meta

from api import rulebook_writes
from api.edge.identity import needs
from api.http.bodies import RuleBody
from api.http.problems import documented
from api.routes.rulebook import VersionNumber
from api.rulebook_writes import Put
from api.services import Services
from shared.access.keys import LiveKey
from shared.errors import InvalidInput
from shared.pricing import money
from shared.pricing.rulebook import MarketRules, PriceList, Promotion, RulebookPolicy
from shared.rulebook.parts import PartName

Caller = Request[LiveKey, Any, Any]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", description="Write only where the `ETag` of the part or of the rulebook is one of these"
    ),
]
Confirm = Annotated[
    bool,
    Parameter(description="Write it although too many prices would move too far by a sample: 409 `plan-first`"),
]
PartKey = Annotated[str, Parameter(max_length=64, description="The part's id")]
MarketCode = Annotated[str, Parameter(max_length=64, description="The market's code, as in `user_location`")]

GUARDED: dict[str, Any] = {"guards": [needs("rules:write")], "security": [{"key": ["rules:write"]}]}
PUT: dict[str, Any] = GUARDED | {
    "return_dto": None,
    "sync_to_thread": True,
    "responses": documented(401, 403, 409, 412, 422, 503),
}
DELETE: dict[str, Any] = GUARDED | {
    "status_code": 200,
    "sync_to_thread": True,
    "responses": documented(401, 403, 404, 409, 412, 422, 503),
}
RULES = "A part that says the same makes no version. "


class Written(msgspec.Struct, frozen=True):
    """The answer to a write of the rulebook."""

    version: VersionNumber


class MarketBody(MarketRules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market, perhaps with its multiplier.

    Attributes:
        multiplier: On every published price in this market, in [0.01, 100]; null: it stays. It is a market value.
    """

    multiplier: Annotated[Decimal | None, Meta(examples=["1.10"])] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.multiplier is not None:
            money.multiplier("multiplier", self.multiplier)


@put(
    "/policy",
    dto=RuleBody[RulebookPolicy],
    operation_id="putPolicy",
    summary="Replace the policy",
    description="The policy decides published prices and how prices are computed from them. "
    + RULES
    + "Where published prices may differ by it, a recalculation of all products follows.",
    **PUT,
)
def put_policy(
    request: Caller, services: Services, data: RulebookPolicy, if_match: IfMatch = None, confirm: Confirm = False
) -> Response[Written]:
    """Write the policy."""
    return _written(rulebook_writes.put(services, request.user, PartName("policy"), data, if_match, confirm=confirm))


@put(
    "/markets/{code:str}",
    dto=RuleBody[MarketBody],
    operation_id="putMarket",
    summary="Insert or replace a market",
    description=RULES + "`multiplier` is no part of the rulebook and makes no version of it; without it, a new market "
    "has the multiplier 1.",
    **PUT,
)
def put_market(
    request: Caller,
    services: Services,
    code: MarketCode,
    data: Annotated[MarketBody, Body(examples=[Example(value={"currency": "EUR", "multiplier": "1.10"})])],
    if_match: IfMatch = None,
    confirm: Confirm = False,
) -> Response[Written]:
    """Write a market."""
    rules = MarketRules(**{name: getattr(data, name) for name in MarketRules.__struct_fields__})
    name = PartName("market", code)
    return _written(
        rulebook_writes.put(services, request.user, name, rules, if_match, data.multiplier, confirm=confirm)
    )


@put(
    "/price-lists/{list_id:str}",
    dto=RuleBody[PriceList],
    operation_id="putPriceList",
    summary="Insert or replace a price list",
    description="Its header, without its entries. " + RULES,
    **PUT,
)
def put_price_list(
    request: Caller,
    services: Services,
    list_id: PartKey,
    data: Annotated[
        PriceList,
        Body(examples=[Example(value={"id": "wholesale", "kind": "override", "adjustment": {"percent": "10"}})]),
    ],
    if_match: IfMatch = None,
    confirm: Confirm = False,
) -> Response[Written]:
    """Write a price list."""
    _check_id(data.id, list_id)
    return _written(
        rulebook_writes.put(services, request.user, PartName("price_list", list_id), data, if_match, confirm=confirm)
    )


@put(
    "/promotions/{promotion_id:str}",
    dto=RuleBody[Promotion],
    operation_id="putPromotion",
    summary="Insert or replace a promotion",
    description=RULES + "A promotion with a window begins and ends by itself.",
    **PUT,
)
def put_promotion(
    request: Caller,
    services: Services,
    promotion_id: PartKey,
    data: Annotated[
        Promotion,
        Body(examples=[Example(value={"id": "spring", "percent": "20", "applies_to": {"categories": ["fashion"]}})]),
    ],
    if_match: IfMatch = None,
    confirm: Confirm = False,
) -> Response[Written]:
    """Write a promotion."""
    _check_id(data.id, promotion_id)
    return _written(
        rulebook_writes.put(
            services, request.user, PartName("promotion", promotion_id), data, if_match, confirm=confirm
        )
    )


@delete(
    "/markets/{code:str}",
    operation_id="deleteMarket",
    summary="Delete a market and its multiplier",
    description="409 while the policy or a condition names it. Its queries are then quoted by `unknown_market`.",
    **DELETE,
)
def delete_market(
    request: Caller, services: Services, code: MarketCode, if_match: IfMatch = None, confirm: Confirm = False
) -> Written:
    """Delete a market."""
    return Written(rulebook_writes.delete(services, request.user, PartName("market", code), if_match, confirm=confirm))


@delete(
    "/price-lists/{list_id:str}",
    operation_id="deletePriceList",
    summary="Delete a price list",
    description="409 while the adjustment of another list refers to it.",
    **DELETE,
)
def delete_price_list(
    request: Caller, services: Services, list_id: PartKey, if_match: IfMatch = None, confirm: Confirm = False
) -> Written:
    """Delete a price list."""
    return Written(
        rulebook_writes.delete(services, request.user, PartName("price_list", list_id), if_match, confirm=confirm)
    )


@delete(
    "/promotions/{promotion_id:str}",
    operation_id="deletePromotion",
    summary="Delete a promotion",
    description="It ends at once.",
    **DELETE,
)
def delete_promotion(
    request: Caller, services: Services, promotion_id: PartKey, if_match: IfMatch = None, confirm: Confirm = False
) -> Written:
    """Delete a promotion."""
    return Written(
        rulebook_writes.delete(services, request.user, PartName("promotion", promotion_id), if_match, confirm=confirm)
    )


def _check_id(written: str, in_path: str) -> None:
    if written != in_path:
        raise InvalidInput(f"not the id in the path, {in_path!r}", "$.id")


def _written(put: Put) -> Response[Written]:
    return Response(Written(put.version), headers={"etag": put.tag, "cache-control": "private, no-cache"})


router = Router(
    "/api/v1",
    route_handlers=[
        put_policy,
        put_market,
        put_price_list,
        put_promotion,
        delete_market,
        delete_price_list,
        delete_promotion,
    ],
    tags=["Rulebook"],
)
