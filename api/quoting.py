"""Quotes of the handlers: the sheets and rules that a request needs, looked up once, and its answers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from api import past_prices
from api.http.answers import MadeOffer, PriceAnswer, is_past, sheet_for
from api.http.queries import PriceQuery
from api.past_prices import Past
from api.services import Services
from shared.cache.reader import Found, Source
from shared.catalogue.price_lists import Pair
from shared.errors import InvalidInput
from shared.offers.keys import OfferKeys
from shared.pricing import query as pricing
from shared.pricing.answer import Quote, public
from shared.pricing.compiled import Terms
from shared.pricing.entries import PriceEntry
from shared.pricing.offer import offer
from shared.pricing.quote import quote

Explained = Literal["not", "publicly", "wholly"]


class Asked(NamedTuple):
    """What the answers of one request are computed from."""

    found: Mapping[str, Found]
    terms: Terms
    contracts: Mapping[Pair, tuple[PriceEntry, ...]]
    past: Past
    now: datetime
    explained: Explained
    offer_keys: OfferKeys


async def look_up(services: Services, queries: Sequence[pricing.PriceQuery], explained: Explained = "not") -> Asked:
    """Read what the queries of a request need.

    Raises:
        DatabaseUnavailable: PostgreSQL is away, and something is not cached.
    """
    now = datetime.now(UTC)
    past = await past_prices.look_up(services, queries, now)
    current = [query for query in queries if not is_past(query, now)]
    found, terms = await services.reader.find([query.product_id for query in current])
    contracts = await services.reader.contracts(current, terms)
    return Asked(found, terms, contracts, past, now, explained, services.offer_keys)


def quoted(query: pricing.PriceQuery, asked: Asked) -> tuple[Quote, Source, int]:
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


def answer(query: PriceQuery, asked: Asked) -> PriceAnswer:
    """The answer to one query, with its offer.

    Raises:
        InvalidInput: the price cannot be guaranteed.
    """
    priced, source, hidden = quoted(query, asked)
    made = None if query.offer_s is None else _offered(priced, query, query.offer_s, asked)
    return PriceAnswer(**msgspec.structs.asdict(priced), source=source, hidden_steps=hidden, offer=made)


def _offered(priced: Quote, query: PriceQuery, offer_s: int, asked: Asked) -> MadeOffer:
    if query.at is not None:
        raise InvalidInput("an offer is for the price of now: leave `at` out", "$.offer_s")
    if offer_s > (longest := asked.terms.rules.policy.max_offer_s):
        raise InvalidInput(f"the policy's `max_offer_s` allows {longest} s", "$.offer_s")
    made = offer(priced, query, asked.now.timestamp(), offer_s)
    return MadeOffer(asked.offer_keys.sign(made), datetime.fromtimestamp(made.exp, asked.now.tzinfo))
