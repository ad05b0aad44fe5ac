"""The edge around the application: one observation and one trace a request, however it ends."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span
from prometheus_client import REGISTRY

from api.edge import metrics
from api.edge.asgi import Edge
from api.edge.cors import Cors
from api.edge.fast_path import FastPath
from api.edge.limits import Limits
from api.edge.tracing import RequestTraces
from api.http.answers import PRICE_PATH, PRICES_PATH
from api.services import Services
from tests.unit.api.price_examples import BODY, Reader, Running

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED, UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-01", f"00-{TRACE}-b7ad6b7169203331-00"


@dataclass
class App:
    """An application that answers 202 with the body that it received.

    Attributes:
        seen: The scopes that it was called with.
        trace_ids: The current trace of each call.
        before: Awaited before its answer.
    """

    seen: list[Any] = field(default_factory=list)
    trace_ids: list[str] = field(default_factory=list)
    before: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope)
        self.trace_ids.append(f"{get_current_span().get_span_context().trace_id:032x}")
        if scope["type"] != "http":
            return
        scope["path_template"] = "/template"
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        await self.before()
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Client:
    """An edge around an application, and what a client gets from it.

    Attributes:
        rest: The second part of the bodies that it sends; None: they have one part.
    """

    reader: Reader
    app: App = field(default_factory=App)
    read_ratio: float = 0.0
    write_ratio: float = 0.0
    per_s: int = 100
    sent: list[Any] = field(default_factory=list)
    rest: bytes | None = None
    edge: Edge | None = None

    async def ask(self, path: str = PRICE_PATH, body: bytes = BODY, send: Any = None, **headers: str) -> None:
        parts = [part for part in (body, self.rest) if part is not None]

        async def receive() -> Any:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def keep(message: Any) -> None:
            self.sent.append(message)

        traces = RequestTraces(self.read_ratio, self.write_ratio, self.per_s, self.key_of)
        self.edge = self.edge or Edge(cast(Any, self.app), fast_path_of(self.reader), traces, Limits(10, 8000))
        await self.edge(cast(Any, http_scope(path, headers)), receive, send or keep)

    @staticmethod
    def key_of(scope: Any) -> str | None:
        return "known" if (b"authorization", b"Bearer known") in scope["headers"] else None

    def answer(self, path: str = PRICE_PATH, body: bytes = BODY, **headers: str) -> tuple[int, dict[bytes, bytes]]:
        """Status and headers of an answer."""
        asyncio.run(self.ask(path, body, **headers))
        start, _ = self.sent[-2:]
        return start["status"], dict(start["headers"])


def fast_path_of(reader: Reader) -> FastPath:
    return FastPath(lambda: cast(Services, Running(reader)))


def http_scope(path: str, headers: dict[str, str]) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    common = {"type": "http", "scheme": "http", "query_string": b"", "state": {}}
    return common | {"method": "POST", "path": path, "headers": raw}


@pytest.fixture
def client(reader: Reader, spans: InMemorySpanExporter) -> Client:
    return Client(reader)


def observed(route: str, status: int, source: str = "") -> float:
    """How many requests the metrics have of this kind."""
    metrics.flush()
    labels = {"method": "POST", "route": route, "status": str(status), "source": source}
    return REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0.0


def test_a_price_query_is_answered_without_the_framework_and_observed_with_its_source(client: Client) -> None:
    before = observed(PRICE_PATH, 200, "cache")
    status, headers = client.answer()
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert b'"source":"cache"' in client.sent[-1]["body"]
    assert client.app.seen == []
    assert observed(PRICE_PATH, 200, "cache") == before + 1


@pytest.mark.parametrize("body", [b"{", b'{"product_id": 5}', b""])
def test_a_body_that_is_no_query_goes_to_the_framework_unread_and_is_observed_once(client: Client, body: bytes) -> None:
    before = observed("/template", 202), observed(PRICE_PATH, 500)
    assert client.answer(body=body)[0] == 202
    assert client.sent[-1]["body"] == body
    assert (observed("/template", 202), observed(PRICE_PATH, 500)) == (before[0] + 1, before[1])


@pytest.mark.parametrize("path", ["/api/v1/products/P-1", PRICES_PATH, PRICE_PATH + "/"])
def test_every_other_request_goes_through_the_framework(client: Client, path: str) -> None:
    status, headers = client.answer(path)
    assert (status, [scope["path"] for scope in client.app.seen]) == (202, [path])
    assert headers[b"traceresponse"].split(b"-")[1].decode() == client.app.trace_ids[0]


@pytest.mark.parametrize("path", ["/health/ready", "/metrics", "/docs", "/assets/swagger-ui/x.js"])
def test_what_watches_the_engine_is_not_traced(client: Client, spans: InMemorySpanExporter, path: str) -> None:
    assert b"traceresponse" not in client.answer(path)[1]
    assert spans.get_finished_spans() == ()


def test_a_connection_that_is_not_http_is_handed_on(client: Client) -> None:
    edge = Edge(
        cast(Any, client.app), fast_path_of(client.reader), RequestTraces(0, 0, 0, client.key_of), Limits(10, 8000)
    )
    asyncio.run(edge(cast(Any, {"type": "lifespan"}), cast(Any, None), cast(Any, None)))
    assert client.app.seen == [{"type": "lifespan"}]


@pytest.mark.parametrize("path", [PRICE_PATH, "/api/v1/products/P-1"])
def test_the_callers_trace_goes_on(client: Client, spans: InMemorySpanExporter, path: str) -> None:
    _, headers = client.answer(path, traceparent=SAMPLED, authorization="Bearer known")
    [span] = spans.get_finished_spans()
    assert span.context
    assert f"{span.context.trace_id:032x}" == TRACE
    assert headers[b"traceresponse"].decode() == f"00-{TRACE}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize("authorization", ["", "Bearer unknown"])
@pytest.mark.parametrize("path", [PRICE_PATH, PRICES_PATH, "/api/v1/products/P-1", "/nothing"])
def test_a_stranger_does_not_raise_the_sampling_and_keeps_its_trace_id(
    client: Client, spans: InMemorySpanExporter, path: str, authorization: str
) -> None:
    _, headers = client.answer(path, traceparent=SAMPLED, authorization=authorization)
    assert spans.get_finished_spans() == ()
    assert headers[b"traceresponse"].startswith(f"00-{TRACE}-".encode())
    assert headers[b"traceresponse"].endswith(b"-00")


@pytest.mark.parametrize("path", [PRICE_PATH, PRICES_PATH, "/api/v1/products/P-1", "/nothing"])
@pytest.mark.parametrize("traceparent", [SAMPLED, "nonsense"])
def test_strangers_are_recorded_by_the_ratio_and_the_limit_alone(
    client: Client, spans: InMemorySpanExporter, path: str, traceparent: str
) -> None:
    client.read_ratio = client.write_ratio = 1.0
    client.per_s = 3
    began = time.monotonic()
    traceresponses = [client.answer(path, traceparent=traceparent)[1][b"traceresponse"] for _ in range(30)]
    seconds = math.ceil(time.monotonic() - began)
    recorded = [each for each in traceresponses if not each.endswith(b"-00")]
    assert 3 <= len(recorded) <= 3 * seconds
    assert len(recorded) == len(spans.get_finished_spans())
    assert traceparent != SAMPLED or all(TRACE.encode() in each for each in traceresponses)


def test_a_caller_who_does_not_sample_gets_its_trace_id_and_no_span(
    client: Client, spans: InMemorySpanExporter
) -> None:
    assert client.answer(traceparent=UNSAMPLED)[1][b"traceresponse"].startswith(f"00-{TRACE}-".encode())
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(("ratio", "recorded"), [(0.0, 0), (1.0, 1)])
def test_a_price_query_without_a_caller_is_recorded_by_the_ratio(
    client: Client, spans: InMemorySpanExporter, ratio: float, recorded: int
) -> None:
    client.read_ratio = ratio
    client.answer()
    assert [span.name for span in spans.get_finished_spans()] == [f"POST {PRICE_PATH}"] * recorded


def test_a_body_in_two_messages_reaches_the_framework_whole(client: Client) -> None:
    client.rest = BODY[10:]
    assert client.answer(body=BODY[:10])[0] == 202
    assert client.sent[-1]["body"] == BODY


def test_a_remembered_answer_is_the_same_and_observed_as_a_computed_one(client: Client) -> None:
    before = observed(PRICE_PATH, 200, "cache")
    answers = [(client.answer(), client.sent[-1]["body"]) for _ in range(3)]
    assert len({body for _, body in answers}) == 1
    assert len({headers[b"traceresponse"] for (_, headers), _ in answers}) == 3
    assert observed(PRICE_PATH, 200, "cache") == before + 3


def test_a_second_has_at_most_its_number_of_recorded_queries(client: Client, spans: InMemorySpanExporter) -> None:
    client.read_ratio, client.per_s = 1.0, 3
    began = time.monotonic()
    traceresponses = [client.answer()[1][b"traceresponse"] for _ in range(30)]
    seconds = math.ceil(time.monotonic() - began)
    recorded = [each for each in traceresponses if not each.endswith(b"-00")]
    assert 3 <= len(recorded) <= 3 * seconds
    assert len(recorded) == len(spans.get_finished_spans())


def test_a_remembered_answer_within_a_callers_trace_names_that_trace(client: Client) -> None:
    client.answer()
    for traceparent in (SAMPLED, UNSAMPLED):
        assert client.answer(traceparent=traceparent)[1][b"traceresponse"].startswith(f"00-{TRACE}-".encode())


@pytest.mark.parametrize(("path", "route", "status"), [(PRICE_PATH, PRICE_PATH, 200), ("/other", "/template", 202)])
def test_an_answer_that_cannot_be_sent_is_observed_and_its_span_ended(
    client: Client, spans: InMemorySpanExporter, path: str, route: str, status: int
) -> None:
    async def gone(message: Any) -> None:
        raise ConnectionResetError

    source = "cache" if path == PRICE_PATH else ""
    before = observed(route, status, source)
    with pytest.raises(ConnectionResetError):
        asyncio.run(client.ask(path, send=gone, traceparent=SAMPLED, authorization="Bearer known"))
    assert observed(route, status, source) == before + 1
    assert [span.name for span in spans.get_finished_spans()] == [f"POST {route}"]


@pytest.mark.parametrize(("path", "route"), [(PRICE_PATH, PRICE_PATH), ("/other", "/template")])
def test_a_request_that_is_cancelled_is_observed_and_its_span_ended(
    client: Client, spans: InMemorySpanExporter, path: str, route: str
) -> None:
    before = observed(route, 500)
    asyncio.run(cancelled_while_it_waits(client, path))
    assert observed(route, 500) == before + 1
    [span] = spans.get_finished_spans()
    assert (span.name, span.status.status_code) == (f"POST {route}", StatusCode.ERROR)


async def cancelled_while_it_waits(client: Client, path: str) -> None:
    waits = asyncio.Event()

    async def wait(*_: object) -> Any:
        waits.set()
        await asyncio.Event().wait()

    client.reader.holds, client.reader.before_find, client.app.before = False, wait, wait
    request = asyncio.create_task(client.ask(path, traceparent=SAMPLED, authorization="Bearer known"))
    await waits.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


def test_a_page_of_a_named_origin_may_read_a_refusal(client: Client) -> None:
    origin = "https://shop.example.com"
    traces = RequestTraces(0, 0, 0, client.key_of)
    client.edge = Edge(cast(Any, client.app), fast_path_of(client.reader), traces, Limits(10, 8000), cors=Cors(origin))
    status, headers = client.answer("/" + "x" * 10_000, origin=origin)
    assert (status, headers[b"access-control-allow-origin"]) == (414, origin.encode())
