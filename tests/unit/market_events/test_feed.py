"""The client of the market-data feed: its requests, its bounds, its spans."""

import itertools
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.errors import ExternalAPIError, ExternalAPITimeout
from shared.market_events.feed import MAX_BODY_BYTES, FeedQuote, MarketDataFeed
from shared.telemetry.tracing import tracer
from tests.support.feed import FakeFeed
from tests.support.metrics import counted
from tests.support.waiting import eventually

QUOTE: dict[str, object] = {"product_id": "P-1", "competitor": "acme", "price": "9.50", "currency": "USD"}
LONG_S, SHORT_S = 30.0, 0.2


@pytest.fixture
def fake() -> Iterator[FakeFeed]:
    fake = FakeFeed()
    yield fake
    fake.close()


@contextmanager
def client_of(url: str, timeout_s: float = LONG_S) -> Iterator[MarketDataFeed]:
    client = MarketDataFeed(url, timeout_s)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def answering(pieces: Iterable[bytes], status: int | None = 200) -> Iterator[str]:
    """The URL of a feed that answers each request with these pieces, as far as its client reads them.

    They are its body, or without a status the whole answer.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            with suppress(ConnectionError):
                if status is not None:
                    self.send_response(status)
                    self.end_headers()
                for piece in pieces:
                    self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the parent's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/quotes"
    finally:
        server.shutdown()
        server.server_close()


def drips() -> Iterator[bytes]:
    """A body without end, a byte at a time; each comes well within the time of a single read."""
    for _ in itertools.count():
        time.sleep(SHORT_S / 10)
        yield b" "


def test_quotes_of_the_products_asked_for_are_returned_and_no_others(fake: FakeFeed) -> None:
    fake.quotes = {"P-1": [QUOTE | {"time": "2026-03-01T12:00:00Z", "shop": "east"}, QUOTE | {"product_id": "P-9"}]}
    with client_of(fake.url) as client:
        assert client.quotes(["P-1", "P-2"]) == [
            FeedQuote(
                product_id="P-1",
                competitor="acme",
                price=Decimal("9.50"),
                currency="USD",
                time=datetime(2026, 3, 1, 12, tzinfo=UTC),
            )
        ]
    [(headers, asked)] = fake.requests
    assert asked == {"product_ids": ["P-1", "P-2"]}
    assert {name.lower(): value for name, value in headers.items()}["accept"] == "application/json"


def test_without_products_or_a_url_nothing_is_sent(fake: FakeFeed) -> None:
    with client_of(fake.url) as client:
        assert client.is_configured
        assert client.quotes([]) == []
    with client_of("") as client:
        assert not client.is_configured
        assert client.quotes(["P-1"]) == []
    assert fake.requests == []


@pytest.mark.parametrize("status", [204, 301, 404, 429, 500, 503])
def test_any_status_but_a_success_with_a_document_is_an_error(status: int, spans: InMemorySpanExporter) -> None:
    with answering([], status) as url, client_of(url) as client, pytest.raises(ExternalAPIError) as error:
        client.quotes(["P-1"])
    assert str(status) in str(error.value) or "is invalid" in str(error.value)
    assert attributes(spans)["http.response.status_code"] == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b'{"quotes": {}}',
        b'{"unknown": ' + b"[" * 100_000,
    ],
)
def test_an_answer_that_is_no_list_of_quotes_is_an_error(body: bytes) -> None:
    with (
        answering([body]) as url,
        client_of(url) as client,
        pytest.raises(ExternalAPIError, match="is invalid"),
    ):
        client.quotes(["P-1"])


def test_a_feed_that_is_away_is_an_error_and_is_asked_again_when_it_is_back(fake: FakeFeed) -> None:
    fake.quotes = {"P-1": [QUOTE]}
    with client_of(fake.url) as client:
        with fake.away(), pytest.raises(ExternalAPIError, match="cannot be reached"):
            client.quotes(["P-1"])
        assert len(client.quotes(["P-1"])) == 1


def test_a_feed_that_does_not_answer_in_time_is_a_timeout(fake: FakeFeed) -> None:
    with client_of(fake.url, SHORT_S) as client, fake.held(), pytest.raises(ExternalAPITimeout, match="within"):
        client.quotes(["P-1"])


def test_an_answer_that_does_not_end_in_time_is_a_timeout() -> None:
    with (
        answering(drips()) as url,
        client_of(url, SHORT_S) as client,
        pytest.raises(ExternalAPITimeout, match="within"),
    ):
        client.quotes(["P-1"])


def test_a_head_that_does_not_end_in_time_is_a_timeout() -> None:
    """Each of its bytes comes well within the time of a single read."""
    pieces = itertools.chain([b"HTTP/1.1 200 OK\r\nx-long: "], itertools.islice(drips(), 200))
    with (
        answering(pieces, status=None) as url,
        client_of(url, SHORT_S) as client,
        pytest.raises(ExternalAPITimeout, match="within"),
    ):
        client.quotes(["P-1"])


def test_a_name_that_is_not_resolved_in_time_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's look-up has no time limit that a caller can set."""
    resolved = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        resolved.wait(LONG_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    try:
        with client_of("http://feed.example/quotes", SHORT_S) as client, pytest.raises(ExternalAPITimeout):
            client.quotes(["P-1"])
        assert not resolved.is_set()
    finally:
        resolved.set()


def test_closing_ends_a_request_that_is_under_way(fake: FakeFeed) -> None:
    client = MarketDataFeed(fake.url, LONG_S)
    with fake.held(), ThreadPoolExecutor(1) as pool:
        asking = pool.submit(client.quotes, ["P-1"])
        eventually(lambda: fake.requests, "the request has come")
        client.close()
        with pytest.raises(ExternalAPIError, match="process ended"):
            asking.result(LONG_S)


def test_an_answer_without_end_is_read_up_to_a_limit() -> None:
    sent = 0

    def floods() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1_000_000
            yield b" " * 1_000_000

    with answering(floods()) as url, client_of(url) as client, pytest.raises(ExternalAPIError, match="more than"):
        client.quotes(["P-1"])
    assert sent > MAX_BODY_BYTES


def test_an_answer_as_large_as_the_limit_is_taken() -> None:
    body = b'{"quotes": []}'.ljust(MAX_BODY_BYTES)
    with answering([body]) as url, client_of(url) as client:
        assert client.quotes(["P-1"]) == []


def test_credentials_of_the_address_are_sent_and_are_in_no_span_and_no_error(
    fake: FakeFeed, spans: InMemorySpanExporter
) -> None:
    url = fake.url.replace("//", "//shop:hunter2@") + "?token=hunter3"
    with client_of(url) as client:
        assert client.quotes(["P-1"]) == []
        with fake.away(), pytest.raises(ExternalAPIError) as error:
            client.quotes(["P-1"])
    [(headers, _)] = fake.requests
    assert {name.lower(): value for name, value in headers.items()}["authorization"].startswith("Basic ")
    assert attributes(spans)["url.full"] == fake.url
    told = "".join(span.to_json() for span in spans.get_finished_spans()) + str(error.value)
    assert "hunter" not in told


def test_the_key_is_sent_and_is_in_no_span_no_error_and_no_repr(fake: FakeFeed, spans: InMemorySpanExporter) -> None:
    client = MarketDataFeed(fake.url, LONG_S, "hunter2")
    assert client.quotes(["P-1"]) == []
    with fake.away(), pytest.raises(ExternalAPIError) as error:
        client.quotes(["P-1"])
    client.close()
    [(headers, _)] = fake.requests
    assert {name.lower(): value for name, value in headers.items()}["authorization"] == "Bearer hunter2"
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "hunter" not in f"{told}{error.value}{client!r}{vars(client)!r}"


def test_the_current_trace_goes_along(fake: FakeFeed, spans: InMemorySpanExporter) -> None:
    with client_of(fake.url) as client, tracer.start_as_current_span("work") as work:
        client.quotes(["P-1"])
    [(headers, _)] = fake.requests
    asked, _ = spans.get_finished_spans()
    assert asked.context
    traceparent = {name.lower(): value for name, value in headers.items()}["traceparent"]
    assert traceparent.split("-")[1:3] == [f"{work.get_span_context().trace_id:032x}", f"{asked.context.span_id:016x}"]


def attributes(spans: InMemorySpanExporter) -> dict[str, Any]:
    """Those of the first span that was ended."""
    return dict(spans.get_finished_spans()[0].attributes or {})


@pytest.mark.parametrize(
    "bad",
    [
        QUOTE | {"price": None},
        QUOTE | {"price": "0"},
        QUOTE | {"price": "-1"},
        QUOTE | {"price": "1e99999999999999999999"},
        QUOTE | {"currency": "XXX"},
        QUOTE | {"competitor": ""},
        QUOTE | {"time": "yesterday"},
        QUOTE | {"time": "0001-01-01T00:00:00+14:00"},
        QUOTE | {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"product_id": "P-1"},
        [],
        None,
        "P-1",
    ],
    ids=str,
)
def test_a_bad_quote_is_left_out_and_counted_and_the_others_count(fake: FakeFeed, bad: Any) -> None:
    fake.quotes = {"P-1": [bad, QUOTE], "P-2": [QUOTE | {"product_id": "P-2"}]}
    before = counted("pricing_feed_quotes_refused_total")
    with client_of(fake.url) as client:
        assert [quote.product_id for quote in client.quotes(["P-1", "P-2"])] == ["P-1", "P-2"]
    assert counted("pricing_feed_quotes_refused_total") - before == 1
