"""Bodies that the fast path answers, those that it leaves to the framework, and its errors."""

import asyncio
from typing import Any, cast

import msgspec
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api.edge import tracing
from api.edge.fast_path import FastPath
from api.edge.tracing import RequestTrace
from api.http.answers import PRICE_PATH
from api.http.problems import Rendered
from api.services import Services
from shared.errors import DatabaseUnavailable
from tests.unit.api.price_examples import BODY, Reader, Running

UNRECORDED = RequestTrace(None, b"00-%032x-%016x-00" % (1, 1))
FIRST = {"type": "http.request", "body": BODY, "more_body": True}
REST = {"type": "http.request", "body": b" ", "more_body": False}


def answered(
    reader: Reader, *messages: Any, headers: dict[bytes, bytes] | None = None, trace: RequestTrace = UNRECORDED
) -> tuple[Rendered | None, list[Any]]:
    """The answer to a request in these messages, and those that are left to be received."""
    waiting = iter(messages)

    async def receive() -> Any:
        return next(waiting)

    async def ask() -> tuple[Rendered | None, list[Any]]:
        fast_path = FastPath(lambda: cast(Services, Running(reader)))
        answer, again = await fast_path.answer(scope(), headers or {}, receive, trace)
        return answer, [await again() for _ in messages] if answer is None else list(waiting)

    return asyncio.run(ask())


def scope(query_string: bytes = b"", method: str = "POST", path: str = PRICE_PATH) -> Any:
    return {"type": "http", "scheme": "http", "path": path, "method": method, "query_string": query_string}


@pytest.mark.parametrize(
    ("asked", "is_taken"),
    [
        (scope(), True),
        (scope(b"explain=true"), True),
        (scope(b"explain=false"), True),
        (scope(b"explain=1"), False),
        (scope(b"explain=true&x=1"), False),
        (scope(method="GET"), False),
        (scope(path="/api/v1/prices"), False),
    ],
)
def test_it_takes_price_queries_as_most_callers_send_them(asked: Any, is_taken: bool) -> None:
    assert FastPath.takes(asked) is is_taken


def test_a_body_as_long_as_its_header_says_is_answered_before_its_end_is_received(reader: Reader) -> None:
    answer, left = answered(reader, FIRST, REST, headers={b"content-length": b"%d" % len(BODY)})
    assert answer is not None
    assert (answer.status, left) == (200, [REST])


@pytest.mark.parametrize("headers", [{}, {b"content-length": b"%d" % (len(BODY) + 1)}])
def test_a_body_that_goes_on_is_left_to_the_framework_from_its_first_byte(
    reader: Reader, headers: dict[bytes, bytes]
) -> None:
    assert answered(reader, FIRST, REST, headers=headers) == (None, [FIRST, REST])


def test_a_client_that_goes_away_is_left_to_the_framework(reader: Reader) -> None:
    gone = {"type": "http.disconnect"}
    assert answered(reader, gone) == (None, [gone])


def query(**fields: object) -> dict[str, object]:
    body = msgspec.json.encode({"product_id": "P-1", **fields})
    return {"type": "http.request", "body": body, "more_body": False}


def test_a_currency_that_the_product_lacks_is_a_problem_with_its_path(reader: Reader) -> None:
    answer, _ = answered(reader, query(currency="KWD"))
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
    answer, _ = answered(reader, query())
    assert answer is not None
    problem = msgspec.json.decode(answer.body)
    assert (answer.status, problem["status"], problem["trace_id"]) == (status, status, f"{1:032x}")
    assert b"hunter2" not in answer.body


@pytest.mark.parametrize(("holds", "source"), [(True, "cache"), (False, "database")])
def test_a_recorded_span_has_the_source_of_the_price(
    reader: Reader, spans: InMemorySpanExporter, holds: bool, source: str
) -> None:
    reader.holds = holds
    trace = tracing.begin_read(scope(), {}, ratio=1)
    answer, _ = answered(reader, query(), trace=trace)
    trace.end("POST", PRICE_PATH, 200)
    [span] = spans.get_finished_spans()
    assert answer is not None
    assert (answer.source, (span.attributes or {})["pricing.source"]) == (source, source)
