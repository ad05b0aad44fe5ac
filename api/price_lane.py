"""The hot path: a price query answered without the framework, in the one place that goes round Litestar.

What it answers, the plain handler in `api.routes.prices` answers byte for byte; whatever is not a price or an
error of the engine it leaves to that one, which also is what the OpenAPI document describes.
"""

from collections.abc import Callable, Mapping

import msgspec
from litestar.types import HTTPScope, Receive, ReceiveMessage

from api.problems import Rendered, render
from api.request_trace import RequestTrace
from api.routes.prices import sheet_for
from api.services import Services
from shared.cache.markets import market_of
from shared.cache.reader import PriceReader, Source
from shared.pricing.models import PriceQuery, Quote
from shared.pricing.quote import quote

PATH = "/api/v1/price"
_EXPLAIN = {b"": False, b"explain=true": True, b"explain=false": False}
_HEADERS = ((b"content-type", b"application/json"),)
# `PriceAnswer` is a `Quote` and, at its end, the source: encoded once, not copied first.
_SOURCES: dict[Source, bytes] = {"cache": b',"source":"cache"}', "database": b',"source":"database"}'}

_decoder = msgspec.json.Decoder(PriceQuery)
_encoder = msgspec.json.Encoder()


class PriceLane:
    """Answers price queries from their bytes."""

    def __init__(self, services: Callable[[], Services]) -> None:
        """A lane.

        Args:
            services: The process's services, which are there once it has started.
        """
        self._services = services
        self._reader: PriceReader | None = None

    @staticmethod
    def takes(scope: HTTPScope) -> bool:
        """Whether a request is a price query as everybody sends it."""
        return scope["path"] == PATH and scope["method"] == "POST" and scope["query_string"] in _EXPLAIN

    async def answer(
        self, scope: HTTPScope, headers: Mapping[bytes, bytes], receive: Receive, trace: RequestTrace
    ) -> tuple[Rendered | None, Receive]:
        """The answer to a request that `takes` allows, and what to receive it by anew where there is none."""
        message = await receive()
        query = _decoded(message, headers)
        if query is None:
            return None, _again(message, receive)
        try:
            if trace.span is None:
                priced, source = await self._price(query, _EXPLAIN[scope["query_string"]])
            else:
                with trace.entered():
                    priced, source = await self._price(query, _EXPLAIN[scope["query_string"]])
                trace.span.set_attribute("pricing.source", source)
        except Exception as error:  # noqa: BLE001 # every error has its answer, as behind the framework
            with trace.entered():
                return render(error, PATH), receive
        return Rendered(200, _HEADERS, _encoder.encode(priced)[:-1] + _SOURCES[source], source), receive

    async def _price(self, query: PriceQuery, explain: bool) -> tuple[Quote, Source]:
        # Held, since asking the framework's state for it costs as much as the near cache.
        reader = self._reader = self._reader or self._services().reader
        source: Source = "cache"
        if held := reader.held(query.product_id):
            sheet, markets = held
        else:
            found, markets = await reader.find_one(query.product_id)
            sheet, source = sheet_for(query, found)
        return quote(sheet, market_of(markets, query.user_location), query, explain=explain), source


def _decoded(message: ReceiveMessage, headers: Mapping[bytes, bytes]) -> PriceQuery | None:
    """The query, where the first message has all of it and it is right."""
    if message["type"] != "http.request":
        return None
    body = message["body"]
    # As long as was said: asking for the end would be a second round through the server.
    if message["more_body"] and headers.get(b"content-length") != b"%d" % len(body):
        return None
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _again(message: ReceiveMessage, receive: Receive) -> Receive:
    """ASGI's `receive`, with a message that was taken already."""
    taken = [message]

    async def receive_again() -> ReceiveMessage:
        return taken.pop() if taken else await receive()

    return receive_again
