"""The fast path: answers price queries without the framework; the only module that goes round Litestar.

Its answers equal those of the plain handler in `api.routes.prices`, byte for byte. A request that is not a valid price
query is passed to that handler. The OpenAPI document describes the handler.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
from litestar.types import HTTPScope, Receive, ReceiveMessage

from api.edge.tracing import RequestTrace
from api.http.answers import PRICE_PATH, sheet_for
from api.http.problems import Rendered, render
from api.services import Services
from shared.cache.markets import market_of
from shared.cache.reader import PriceReader, Source
from shared.pricing.market import Market
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.sheet import PriceSheet

_EXPLAIN = {b"": False, b"explain=true": True, b"explain=false": False}
_HEADERS = ((b"content-type", b"application/json"),)
# `PriceAnswer` is a `Quote` and, at its end, the source: encoded once, not copied first.
_SOURCES: dict[Source, bytes] = {"cache": b',"source":"cache"}', "database": b',"source":"database"}'}

# The number of remembered answers, and the longest query whose answer is remembered: 13 MB at most.
ANSWERS = 16_384
ANSWERED_BYTES = 256

_decoder = msgspec.json.Decoder(PriceQuery)
_encoder = msgspec.json.Encoder()


class _Answered(NamedTuple):
    """What some bytes were answered, and all that it was computed from."""

    product_id: str
    version: int
    computed_at: datetime
    markets: Mapping[str, Market]
    answer: Rendered


class FastPath:
    """Answers price queries from their bytes.

    A price depends only on the query, the sheet and the market. The same bytes therefore get the same answer as before,
    as long as the near cache has the same version of the sheet and the markets are the same.
    """

    def __init__(self, services: Callable[[], Services]) -> None:
        """A fast path.

        Args:
            services: Returns the process's services, once the application has started.
        """
        self._services = services
        self._reader: PriceReader | None = None
        self._answered: OrderedDict[bytes, _Answered] = OrderedDict()

    @staticmethod
    def takes(scope: HTTPScope) -> bool:
        """Whether a request is a price query as everybody sends it."""
        return scope["path"] == PRICE_PATH and scope["method"] == "POST" and scope["query_string"] in _EXPLAIN

    async def answer(
        self, scope: HTTPScope, headers: Mapping[bytes, bytes], receive: Receive, trace: RequestTrace
    ) -> tuple[Rendered | None, Receive]:
        """The answer to a request that `takes` allows, and what to receive it by anew where there is none."""
        message = await receive()
        asked = _whole(message, headers)
        if asked is None:
            return None, _again(message, receive)
        explain = _EXPLAIN[scope["query_string"]]
        if trace.span is None and not explain and (known := self._same_as_before(asked)):
            return known, receive
        try:
            query = _decoder.decode(asked)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None, _again(message, receive)
        try:
            if trace.span is None:
                return await self._price(asked, query, explain), receive
            with trace.entered():
                answer = await self._price(asked, query, explain)
            trace.span.set_attribute("pricing.source", answer.source)
            return answer, receive
        except Exception as error:  # noqa: BLE001 # every error has its answer, as behind the framework
            with trace.entered():
                return render(error, PRICE_PATH), receive

    async def _price(self, asked: bytes, query: PriceQuery, explain: bool) -> Rendered:
        # Held, since asking the framework's state for it costs as much as the near cache.
        reader = self._reader = self._reader or self._services().reader
        if held := reader.held(query.product_id):
            sheet, markets = held
            answer = _priced(sheet, markets, query, explain, "cache")
            if not explain and len(asked) <= ANSWERED_BYTES:
                self._remember(asked, _Answered(sheet.product_id, sheet.version, sheet.computed_at, markets, answer))
            return answer
        found, markets = await reader.find_one(query.product_id)
        sheet, source = sheet_for(query, found)
        return _priced(sheet, markets, query, explain, source)

    def _same_as_before(self, asked: bytes) -> Rendered | None:
        """The answer to these bytes, where it was computed from what this process holds now."""
        known = self._answered.get(asked)
        if known is None or self._reader is None or (held := self._reader.held(known.product_id)) is None:
            return None
        sheet, markets = held
        is_same = sheet.version == known.version and sheet.computed_at == known.computed_at
        return known.answer if is_same and markets is known.markets else None

    def _remember(self, asked: bytes, answered: _Answered) -> None:
        self._answered[asked] = answered
        if len(self._answered) > ANSWERS:
            self._answered.popitem(last=False)


def _priced(
    sheet: PriceSheet, markets: Mapping[str, Market], query: PriceQuery, explain: bool, source: Source
) -> Rendered:
    """The answer to a query.

    Raises:
        NoPrice: the sheet has no price in the query's currency.
    """
    priced = quote(sheet, market_of(markets, query.user_location), query, explain=explain)
    return Rendered(200, _HEADERS, _encoder.encode(priced)[:-1] + _SOURCES[source], source)


def _whole(message: ReceiveMessage, headers: Mapping[bytes, bytes]) -> bytes | None:
    """The body, where the first message has all of it."""
    if message["type"] != "http.request":
        return None
    body = message["body"]
    # As long as was said: asking for the end would be a second round through the server.
    if message["more_body"] and headers.get(b"content-length") != b"%d" % len(body):
        return None
    return body


def _again(message: ReceiveMessage, receive: Receive) -> Receive:
    """ASGI's `receive`, with a message that was taken already."""
    taken = [message]

    async def receive_again() -> ReceiveMessage:
        return taken.pop() if taken else await receive()

    return receive_again
