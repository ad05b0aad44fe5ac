"""Price queries: the read path."""

import asyncio
from typing import Annotated, Any, cast

import msgspec
import structlog
from litestar import Request, Router, post
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter
from msgspec import Meta

from api.edge.identity import KEY_OPTIONAL, limit_prices, may_ask, prices_are_open, sees_costs
from api.edge.metrics import SOURCE
from api.http.answers import PriceAnswer, encoded
from api.http.bodies import StrictBody
from api.http.problems import Problem, documented, problem_of
from api.http.queries import PriceQuery
from api.quoting import Asked, Explained, answer, look_up, quoted
from api.services import Services
from shared.errors import InvalidInput, translate, translated

log = structlog.get_logger(__name__)

# After this many items the event loop serves other requests.
ITEMS_PER_TURN = 50

Explain = Annotated[
    bool,
    Parameter(
        description="Also return the steps that led to the price, and the rules that did not apply. Those that show "
        "cost, floor or competitors need a key with `catalogue:read`"
    ),
]


class PriceQueries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several price queries at once."""

    items: Annotated[
        list[PriceQuery],
        Meta(min_length=1, max_length=500, description="The queries", examples=[[{"product_id": "P-100"}]]),
    ]


class _RawQueries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same before each query is read by itself."""

    items: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=500)]


class EachQuery(StrictBody[PriceQueries]):
    """The queries of a body; a query of the wrong shape is an InvalidInput in its place."""

    def _decode(self, value: bytes) -> Any:
        with translated():
            try:
                raw = _items.decode(value)
            except msgspec.ValidationError:
                msgspec.json.decode(value)  # broken JSON is the greater fault
                raise
            return PriceQueries([_query(item) for item in raw.items])  # type: ignore[misc] # as the handler knows


def _query(item: msgspec.Raw) -> PriceQuery | InvalidInput:
    try:
        return _one.decode(item)
    except Exception as error:  # `translated` for each query would take a fifth of a simple price's time
        if isinstance(known := translate(error), InvalidInput):
            return known
        raise


_items = msgspec.json.Decoder(_RawQueries)
_one = msgspec.json.Decoder(PriceQuery)


class ItemAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one of several queries: a price or an error."""

    price: Annotated[PriceAnswer | None, Meta(description="The price, as for a single query")] = None
    error: Annotated[Problem | None, Meta(description="The reason for a missing price")] = None


class PriceAnswers(msgspec.Struct, frozen=True):
    """The answers to several queries."""

    items: Annotated[list[ItemAnswer], Meta(description="One per query, in the order of the queries")]


@post(
    "/price",
    status_code=200,
    guards=[prices_are_open],
    security=KEY_OPTIONAL,
    dto=StrictBody[PriceQuery],
    return_dto=None,
    operation_id="getPrice",
    responses=documented(401, 403, 404, 422, 429, 503),
    summary="Quote a price",
    description="The price of a product for a place, a customer and a time. It is computed from the product's cached "
    "price sheet, or from the database where the sheet is not cached.",
)
async def get_price(
    request: Request[Any, Any, Any],
    services: Services,
    data: Annotated[
        PriceQuery,
        Body(
            examples=[
                Example(
                    summary="A member in New York",
                    value={"product_id": "P-100", "user_location": "NY", "is_prime_member": True},
                ),
                Example(summary="A hundred pieces", value={"product_id": "P-100", "quantity": 100}),
                Example(summary="Guaranteed for 15 minutes", value={"product_id": "P-100", "offer_s": 900}),
            ]
        ),
    ],
    explain: Explain = False,
) -> PriceAnswer:
    """Price one query."""
    return await price(request, services, data, explain)


async def price(
    request: Request[Any, Any, Any], services: Services, data: PriceQuery, explain: bool = False
) -> PriceAnswer:
    """Price one query of a caller.

    Raises:
        PricingError: the caller may not ask for it, or there is no price.
        NotQuoted: the query has no price.
    """
    limit_prices(request, 1)
    explained = await _explained(request, explain)
    await may_ask(request, data.is_for_keys or data.offer_s is not None)
    return answer(data, await look_up(services, [data], explained))


@post(
    "/prices",
    status_code=200,
    guards=[prices_are_open],
    security=KEY_OPTIONAL,
    dto=EachQuery,
    return_dto=None,
    operation_id="getPrices",
    responses=documented(401, 403, 422, 429, 503),
    summary="Up to 500 price queries at once",
    description="Each item has a price or an error of its own, whose `path` starts at the item. All have the same "
    "instant and the same rulebook.",
)
async def get_prices(
    request: Request[Any, Any, Any],
    services: Services,
    data: Annotated[
        PriceQueries,
        Body(examples=[Example(value={"items": [{"product_id": "P-100"}, {"product_id": "P-101", "quantity": 20}]})]),
    ],
    explain: Explain = False,
) -> PriceAnswers:
    """Price several queries with one look-up."""
    items = cast(list[PriceQuery | InvalidInput], data.items)
    queries = [query for query in items if isinstance(query, PriceQuery)]
    limit_prices(request, len(items))
    explained = await _explained(request, explain)
    await may_ask(request, any(query.is_for_keys or query.offer_s is not None for query in queries))
    asked = await look_up(services, queries, explained)
    all_cached = all(
        name in asked.found and asked.found[name].source == "cache" for name in {query.product_id for query in queries}
    )
    request.scope["state"][SOURCE] = "cache" if all_cached else "database"
    answers: list[ItemAnswer] = []
    for query in items:
        answers.append(_item(query, asked, request.url.path))
        if len(answers) % ITEMS_PER_TURN == 0:
            await asyncio.sleep(0)
    return PriceAnswers(answers)


async def _explained(request: Request[Any, Any, Any], explain: bool) -> Explained:
    if not explain:
        return "not"
    return "wholly" if await sees_costs(request) else "publicly"


def _item(query: PriceQuery | InvalidInput, asked: Asked, instance: str) -> ItemAnswer:
    try:
        if isinstance(query, InvalidInput):
            raise query
        if asked.explained != "not" or query.offer_s is not None:
            return ItemAnswer(price=answer(query, asked))
        priced, source, _ = quoted(query, asked)
        # Encoded here: copying the quote to a `PriceAnswer` would take a third of a simple price's time.
        return ItemAnswer(price=cast(PriceAnswer, msgspec.Raw(encoded(priced, source))))
    except Exception as error:  # every item has its answer, as each single query
        problem = problem_of(error, instance)
        if problem.status == 500:
            log.error("unforeseen error", path=instance, exc_info=error)
        return ItemAnswer(error=problem)


router = Router("/api/v1", route_handlers=[get_price, get_prices], tags=["Prices"])
