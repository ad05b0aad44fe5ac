"""The market-data feed: an external HTTP service with competitors' prices.

`POST {PRICING_FEED_URL}` with `{"product_ids": [id, …]}` returns
`{"quotes": [{"product_id", "competitor", "price", "currency", "in_stock"?, "shipping"?, "expires_at"?, "time"?}, …]}`.
"""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from datetime import datetime
from typing import Annotated

import httpx
import msgspec
import structlog
from msgspec import Meta
from opentelemetry.trace import Span, SpanKind

from shared.errors import ExternalAPIError, ExternalAPITimeout
from shared.market_events.events import CompetitorPriceChanged
from shared.telemetry import propagation
from shared.telemetry.metrics import FEED_QUOTES_REFUSED
from shared.telemetry.tracing import tracer
from shared.wire import instants
from shared.wire.fields import AT

log = structlog.get_logger(__name__)

# Of the refused quotes of one answer, and of each one's text.
MOST_LOGGED = 10
QUOTE_CHARS = 200
MAX_BODY_BYTES = 16_000_000  # 1,000 products with 100 quotes each


class FeedQuote(CompetitorPriceChanged, frozen=True, forbid_unknown_fields=False):
    """A competitor's price in the feed; without a `time` it is as of now."""

    time: Annotated[datetime | None, Meta(description="The time of the price; null: now.", examples=[AT])] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        instants.check("time", self.time)


_quote = msgspec.json.Decoder(FeedQuote)


class _Answer(msgspec.Struct):
    quotes: list[msgspec.Raw]


class MarketDataFeed:
    """A client of the feed; without a URL it has no quotes and sends nothing."""

    def __init__(self, url: str, timeout_s: float, key: str = "") -> None:
        """A client.

        Args:
            url: The feed's address; empty: there is no feed.
            timeout_s: The time of a request, from the look-up of the feed's name to the end of the answer.
            key: Sent as a bearer token; empty: none.
        """
        self._url, self._timeout_s = url, timeout_s
        # A thread of its own, so that a request ends in time whatever it waits for, a name's look-up included.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="market-data feed", daemon=True)
        self._thread.start()
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._http = httpx.AsyncClient(timeout=timeout_s, headers=headers)

    @property
    def is_configured(self) -> bool:
        """Whether there is a feed."""
        return bool(self._url)

    def quotes(self, product_ids: Sequence[str]) -> list[FeedQuote]:
        """Competitors' prices of these products; [] where there is no feed.

        An invalid quote is counted, named in the log and left out.

        Raises:
            ExternalAPITimeout: the feed did not answer in time.
            ExternalAPIError: the feed refused, failed, or its answer is invalid.
        """
        if not self._url or not product_ids:
            return []
        with tracer.start_as_current_span("POST market-data feed", kind=SpanKind.CLIENT) as span:
            span.set_attribute("http.request.method", "POST")
            span.set_attribute("url.full", _without_credentials(self._url))
            return self._decoded(self._post(product_ids, span), set(product_ids))

    def close(self) -> None:
        """End requests that are under way, and close the connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._http.aclose()

    def _post(self, product_ids: Sequence[str], span: Span) -> bytes:
        headers: dict[str, str] = {}
        propagation.inject(headers)
        asking = self._answer({"product_ids": list(product_ids)}, headers, span)
        try:
            return asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ExternalAPITimeout(f"the market-data feed did not answer within {self._timeout_s:g} s") from error
        except CancelledError as error:
            raise ExternalAPIError("the process ended before the market-data feed answered") from error
        except httpx.HTTPError as error:
            raise ExternalAPIError(f"the market-data feed cannot be reached: {error}") from error

    async def _answer(self, question: dict[str, list[str]], headers: dict[str, str], span: Span) -> bytes:
        # httpx bounds each wait for the network; this bounds all of them together.
        async with (
            asyncio.timeout(self._timeout_s),
            self._http.stream("POST", self._url, json=question, headers=headers) as response,
        ):
            span.set_attribute("http.response.status_code", response.status_code)
            if not response.is_success:
                raise ExternalAPIError(f"the market-data feed answered {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise ExternalAPIError(f"the market-data feed's answer has more than {MAX_BODY_BYTES:,} bytes")
            return bytes(body)

    @staticmethod
    def _decoded(body: bytes, product_ids: set[str]) -> list[FeedQuote]:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ExternalAPIError(f"the market-data feed's answer is invalid: {error}") from error
        quotes: list[FeedQuote] = []
        refused: list[tuple[str, str]] = []
        for raw in answer.quotes:
            try:
                quotes.append(_quote.decode(raw))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                refused.append((bytes(raw)[:QUOTE_CHARS].decode(errors="replace"), str(error)))
        FEED_QUOTES_REFUSED.inc(len(refused))
        for text, reason in refused[:MOST_LOGGED]:
            log.warning("quote of the feed refused", quote=text, reason=reason, refused=len(refused))
        return [quote for quote in quotes if quote.product_id in product_ids]


def _without_credentials(url: str) -> str:
    """The address for spans: user, password and query may be secrets."""
    return str(httpx.URL(url).copy_with(username="", password="", query=None, fragment=None))
