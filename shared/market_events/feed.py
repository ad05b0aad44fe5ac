"""The market-data feed: a service outside that knows competitors' prices, asked over HTTP.

`POST {PRICING_FEED_URL}` with `{"product_ids": [id, …]}` answers
`{"quotes": [{"product_id", "competitor", "price", "currency", "in_stock"?, "time"?}, …]}`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import httpx
import msgspec
from msgspec import Meta
from opentelemetry.trace import SpanKind

from shared.errors import ExternalAPIError, ExternalAPITimeout
from shared.market_events.events import CompetitorPriceChanged
from shared.telemetry import propagation
from shared.telemetry.tracing import tracer
from shared.wire.fields import AT


class FeedQuote(CompetitorPriceChanged, frozen=True, forbid_unknown_fields=False):
    """A competitor's price as the feed tells it; without a `time` it is as of now."""

    time: Annotated[datetime | None, Meta(description="When it was so; null: now.", examples=[AT])] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time is not None and self.time.tzinfo is None:
            raise ValueError("`time` needs a UTC offset")


class _Answer(msgspec.Struct):
    quotes: list[FeedQuote]


class MarketDataFeed:
    """A client of the feed; without a URL it knows nothing and asks nobody."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._http = httpx.Client(timeout=timeout_s, headers={"accept": "application/json"})

    @property
    def is_configured(self) -> bool:
        """Whether there is a feed to ask."""
        return bool(self._url)

    def quotes(self, product_ids: Sequence[str]) -> list[FeedQuote]:
        """What competitors ask for these products; [] where there is no feed.

        Raises:
            ExternalAPITimeout: it did not answer in time.
            ExternalAPIError: it refused, failed, or its answer makes no sense.
        """
        if not self._url or not product_ids:
            return []
        with tracer.start_as_current_span("POST market-data feed", kind=SpanKind.CLIENT) as span:
            span.set_attribute("http.request.method", "POST")
            span.set_attribute("url.full", self._url)
            response = self._post(product_ids)
            span.set_attribute("http.response.status_code", response.status_code)
            if not response.is_success:
                raise ExternalAPIError(f"the market-data feed answered {response.status_code}")
            return self._decoded(response.content, set(product_ids))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, product_ids: Sequence[str]) -> httpx.Response:
        headers: dict[str, str] = {}
        propagation.inject(headers)
        try:
            return self._http.post(self._url, json={"product_ids": list(product_ids)}, headers=headers)
        except httpx.TimeoutException as error:
            raise ExternalAPITimeout(f"the market-data feed did not answer in time: {error}") from error
        except httpx.HTTPError as error:
            raise ExternalAPIError(f"the market-data feed cannot be reached: {error}") from error

    @staticmethod
    def _decoded(body: bytes, asked: set[str]) -> list[FeedQuote]:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ExternalAPIError(f"the market-data feed's answer makes no sense: {error}") from error
        return [quote for quote in answer.quotes if quote.product_id in asked]
