"""Bodies that the fast path answers, those that it leaves to the framework, and its errors."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api.edge.fast_path import ANSWERED_BYTES, FastPath
from api.edge.tracing import RequestTrace, RequestTraces
from api.http.answers import PRICE_PATH
from api.http.problems import Rendered
from api.services import Services
from shared.errors import DatabaseUnavailable
from tests.unit.api.price_examples import BODY, Reader, Running

UNRECORDED = RequestTrace(None, (b"traceresponse", b"00-%032x-%016x-00" % (1, 1)))
FIRST: Any = {"type": "http.request", "body": BODY, "more_body": True}


def answered(
    reader: Reader, first: Any, headers: Sequence[tuple[bytes, bytes]] = (), trace: RequestTrace = UNRECORDED
) -> Rendered | None:
    """The answer to a request with this first message."""
    fast_path = FastPath(lambda: cast(Services, Running(reader)))
    plain = fast_path.plain_body(scope(headers=headers), first)
    return asyncio.run(fast_path.answer(scope(headers=headers), first, trace, plain))


def scope(
    query_string: bytes = b"",
    method: str = "POST",
    path: str = PRICE_PATH,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Any:
    common = {"type": "http", "scheme": "http", "path": path, "method": method}
    return common | {"query_string": query_string, "headers": headers}


@pytest.mark.parametrize(
    ("asked", "is_taken"),
    [
        (scope(), True),
        (scope(b"explain=true"), False),
        (scope(b"explain=false"), True),
        (scope(b"explain=1"), False),
        (scope(b"explain=true&x=1"), False),
        (scope(method="GET"), False),
        (scope(path="/api/v1/prices"), False),
    ],
)
def test_it_takes_price_queries_as_most_callers_send_them(asked: Any, is_taken: bool) -> None:
    assert FastPath(lambda: cast(Services, None)).takes(asked) is is_taken


@pytest.mark.parametrize(
    ("headers", "is_answered"),
    [
        ([(b"content-type", b"application/json; charset=utf-8"), (b"accept", b"*/*")], True),
        ([(b"content-type", b"text/plain")], False),
        ([(b"accept", b"text/html")], False),
    ],
)
def test_headers_that_ask_for_something_else_are_left_to_the_framework(
    reader: Reader, headers: list[tuple[bytes, bytes]], is_answered: bool
) -> None:
    assert (answered(reader, query(), headers=headers) is not None) is is_answered


PLAIN = [(b"host", b"x"), (b"content-length", b"%d" % len(BODY))]


@pytest.mark.parametrize(
    ("headers", "is_plain"),
    [
        (PLAIN, True),
        ([], True),
        ([(b"accept", b"text/html"), *PLAIN], False),
        ([(b"traceparent", b"00-%032x-%016x-00" % (2, 2)), *PLAIN], False),
        ([(b"content-length", b"%d" % (len(BODY) + 1))], False),
    ],
)
def test_a_body_is_plain_with_plain_headers(reader: Reader, headers: list[tuple[bytes, bytes]], is_plain: bool) -> None:
    fast_path = FastPath(lambda: cast(Services, Running(reader)))
    whole = FIRST | {"more_body": bool(headers)}
    for _ in range(2):
        assert fast_path.plain_body(scope(headers=PLAIN), FIRST) == BODY
        assert fast_path.plain_body(scope(headers=headers), whole) == (BODY if is_plain else None)


def test_a_long_body_is_plain_and_its_headers_are_not_kept(reader: Reader) -> None:
    fast_path = FastPath(lambda: cast(Services, Running(reader)))
    for length in range(ANSWERED_BYTES - 2, ANSWERED_BYTES + 3):
        first, headers = FIRST | {"body": b"x" * length}, [(b"content-length", b"%d" % length)]
        assert fast_path.plain_body(scope(headers=headers), first) == b"x" * length
    assert max(fast_path._plain) == ANSWERED_BYTES


def test_a_body_as_long_as_its_header_says_is_answered_before_its_end_is_received(reader: Reader) -> None:
    answer = answered(reader, FIRST, headers=[(b"content-length", b"%d" % len(BODY))])
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"%d" % (len(BODY) + 1))]])
def test_a_body_that_goes_on_is_left_to_the_framework(reader: Reader, headers: list[tuple[bytes, bytes]]) -> None:
    assert answered(reader, FIRST, headers=headers) is None


def test_a_client_that_goes_away_is_left_to_the_framework(reader: Reader) -> None:
    assert answered(reader, {"type": "http.disconnect"}) is None


def query(**fields: object) -> dict[str, object]:
    body = msgspec.json.encode({"product_id": "P-1", **fields})
    return {"type": "http.request", "body": body, "more_body": False}


def test_a_currency_that_the_product_lacks_is_a_problem_with_its_path(reader: Reader) -> None:
    answer = answered(reader, query(currency="KWD"))
    assert answer is not None
    assert (answer.status, msgspec.json.decode(answer.body)["path"]) == (422, "$.currency")


@pytest.mark.parametrize(
    ("error", "status"), [(DatabaseUnavailable("PostgreSQL: refused"), 503), (RuntimeError("hunter2"), 500)]
)
def test_an_error_of_a_look_up_is_the_problem_that_it_is_behind_the_framework(
    reader: Reader, error: Exception, status: int
) -> None:
    async def fail() -> None:
        raise error

    reader.holds, reader.before_find = False, fail
    answer = answered(reader, query())
    assert answer is not None
    problem = msgspec.json.decode(answer.body)
    assert (answer.status, problem["status"], problem["trace_id"]) == (status, status, f"{1:032x}")
    assert b"hunter2" not in answer.body


@pytest.mark.parametrize(("holds", "source"), [(True, "cache"), (False, "database")])
def test_a_recorded_span_has_the_source_of_the_price(
    reader: Reader, spans: InMemorySpanExporter, holds: bool, source: str
) -> None:
    reader.holds = holds
    trace = RequestTraces(1, 1, 1, lambda _: None).begin_read(scope())
    answer = answered(reader, query(), trace=trace)
    trace.end("POST", PRICE_PATH, 200)
    [span] = spans.get_finished_spans()
    assert answer is not None
    assert (answer.source, (span.attributes or {})["pricing.source"]) == (source, source)
