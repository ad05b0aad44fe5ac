"""Price queries: the read path."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, cast

import msgspec
import structlog
from litestar import Request, Router, post
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter
from msgspec import Meta

from api import past_prices
from api.edge.identity import KEY_OPTIONAL, limit_prices, may_ask, prices_are_open, sees_costs
from api.edge.metrics import SOURCE
from api.http.answers import PriceAnswer, encoded, is_past, sheet_for
from api.http.bodies import StrictBody
from api.http.problems import Problem, documented, problem_of
from api.past_prices import Past
from api.services import Services
from shared.cache.reader import Found, Source
from shared.catalogue.price_lists import Pair
from shared.errors import InvalidInput, translate, translated
from shared.pricing.answer import Quote, public
from shared.pricing.compiled import Terms
from shared.pricing.entries import PriceEntry
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote

log = structlog.get_logger(__name__)

# After this many items the event loop serves other requests.
ITEMS_PER_TURN = 50

Explained = Literal["not", "publicly", "wholly"]
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
            ]
        ),
    ],
    explain: Explain = False,
) -> PriceAnswer:
    """Price one query."""
    limit_prices(request, 1)
    explained = await _explained(request, explain)
    await may_ask(request, data.is_for_keys)
    return _answer(data, await _asked(services, [data], explained))


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
    await may_ask(request, any(query.is_for_keys for query in queries))
    asked = await _asked(services, queries, explained)
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


class _Asked(NamedTuple):
    """What the answers of one request are computed from."""

    found: Mapping[str, Found]
    terms: Terms
    contracts: Mapping[Pair, tuple[PriceEntry, ...]]
    past: Past
    now: datetime
    explained: Explained


async def _asked(services: Services, queries: Sequence[PriceQuery], explained: Explained) -> _Asked:
    now = datetime.now(UTC)
    past = await past_prices.look_up(services, queries, now)
    current = [query for query in queries if not is_past(query, now)]
    found, terms = await services.reader.find([query.product_id for query in current])
    return _Asked(found, terms, await services.reader.contracts(current, terms), past, now, explained)


def _quoted(query: PriceQuery, asked: _Asked) -> tuple[Quote, Source, int]:
    """The quote, the source of its sheet, and the number of hidden steps."""
    contract: tuple[PriceEntry, ...] = ()
    source: Source = "database"
    if past := asked.past.of(query):
        terms, bound = past
    else:
        terms, (bound, source) = asked.terms, sheet_for(query, asked.found.get(query.product_id))
        contract = asked.contracts.get((query.product_id, query.customer_id or ""), ())
    is_explained, at = asked.explained != "not", query.at or asked.now
    priced, hidden = quote(terms, bound, query, at, contract=contract, explain=is_explained), 0
    if asked.explained == "publicly":
        priced, hidden = public(priced, bound.sheet)
    return priced, source, hidden


def _answer(query: PriceQuery, asked: _Asked) -> PriceAnswer:
    priced, source, hidden = _quoted(query, asked)
    return PriceAnswer(**msgspec.structs.asdict(priced), source=source, hidden_steps=hidden)


def _item(query: PriceQuery | InvalidInput, asked: _Asked, instance: str) -> ItemAnswer:
    try:
        if isinstance(query, InvalidInput):
            raise query
        if asked.explained != "not":
            return ItemAnswer(price=_answer(query, asked))
        priced, source, _ = _quoted(query, asked)
        # Encoded here: copying the quote to a `PriceAnswer` would take a third of a simple price's time.
        return ItemAnswer(price=cast(PriceAnswer, msgspec.Raw(encoded(priced, source))))
    except Exception as error:  # every item has its answer, as each single query
        problem = problem_of(error, instance)
        if problem.status == 500:
            log.error("unforeseen error", path=instance, exc_info=error)
        return ItemAnswer(error=problem)


router = Router("/api/v1", route_handlers=[get_price, get_prices], tags=["Prices"])
