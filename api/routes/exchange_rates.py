"""Exchange rates: market values that people or a feed set."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, put
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter
from msgspec import Meta

from api import rulebook_writes
from api.edge.identity import needs
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.routes.rule_parts import Confirm
from api.services import Services
from shared.access.keys import LiveKey
from shared.pricing.currencies import CurrencyCode
from shared.rulebook.exchange_rates import NewRate

Currency = Annotated[str, Parameter(pattern="^[A-Z]{3}$", description="A currency")]


class PairRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One unit of `from` is `rate` units of `to`."""

    from_: CurrencyCode
    to: CurrencyCode
    rate: Annotated[Decimal, Meta(description="Above 0, with at most 12 decimals", examples=["1.0836"])]


class NewRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exchange rates to put in force."""

    rates: Annotated[
        list[PairRate],
        Meta(
            min_length=1,
            max_length=1000,
            description="Rates of other pairs stay",
            examples=[[{"from": "EUR", "to": "USD", "rate": "1.0836"}]],
        ),
    ]


class ValuesWritten(msgspec.Struct, frozen=True):
    """The answer to a write of market values."""

    values_version: Annotated[int, Meta(description="Version of the market values.", examples=[41])]


@put(
    "/exchange-rates",
    guards=[needs("rules:write")],
    security=[{"key": ["rules:write"]}],
    dto=StrictBody[NewRates],
    return_dto=None,
    sync_to_thread=True,
    operation_id="putExchangeRates",
    responses=documented(401, 403, 409, 422, 503),
    summary="Put exchange rates in force",
    description="From now on. Rates make no version of the rulebook. A pair's other direction is computed; one that is "
    "more than 1 % away from it is refused.",
)
def put_rates(
    request: Request[LiveKey, Any, Any],
    services: Services,
    data: Annotated[
        NewRates, Body(examples=[Example(value={"rates": [{"from": "EUR", "to": "USD", "rate": "1.0836"}]})])
    ],
    confirm: Confirm = False,
) -> ValuesWritten:
    """Write rates."""
    rates = [NewRate(rate.from_, rate.to, rate.rate) for rate in data.rates]
    return ValuesWritten(rulebook_writes.put_rates(services, request.user, rates, confirm=confirm))


@delete(
    "/exchange-rates/{source:str}/{target:str}",
    status_code=200,
    guards=[needs("rules:write")],
    security=[{"key": ["rules:write"]}],
    sync_to_thread=True,
    operation_id="deleteExchangeRate",
    responses=documented(401, 403, 404, 409, 422, 503),
    summary="Let a pair of currencies have no rate",
    description="From now on. Prices that need it are then no price, with the reason.",
)
def delete_rate(
    request: Request[LiveKey, Any, Any],
    services: Services,
    source: Currency,
    target: Currency,
    confirm: Confirm = False,
) -> ValuesWritten:
    """Delete a rate."""
    return ValuesWritten(rulebook_writes.delete_rate(services, request.user, (source, target), confirm=confirm))


router = Router("/api/v1", route_handlers=[put_rates, delete_rate], tags=["Rulebook"])
