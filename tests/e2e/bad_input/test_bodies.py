"""A body that is no JSON, has another shape or is too large gets a problem document."""

import re
import socket

import pytest

from tests.e2e.bad_input.problem_documents import EVENTS, PRICE, PRICES, RECALCULATE, problem, send
from tests.support.engine import Engine
from tests.support.waiting import eventually


@pytest.mark.parametrize("url", [PRICE, PRICES, EVENTS, RECALCULATE])
@pytest.mark.parametrize("body", [b"{", b" ", b"hello", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{'type': 1}", b"{,}"])
def test_what_is_no_json_is_told_so(engine: Engine, url: str, body: bytes) -> None:
    problem(send(engine, url, body), 400, "$")


@pytest.mark.parametrize(
    "body",
    [
        b'{"product_id": "P-100"}x',
        b'{"product_id": "P-100",}',
        b'{"product_id": "P-100"',
        b'{"product_id": "\xff"}',
        b'{"product_id": "\\ud800"}',
        b'{"product_id": "P-100", "quantity": 01}',
        b'{"product_id": "P-100", "quantity": +1}',
        b'{"product_id": "P-100" /* the lamp */}',
    ],
)
def test_what_begins_as_a_query_and_is_no_json_is_told_so(engine: Engine, body: bytes) -> None:
    problem(send(engine, PRICE, body), 400, "$")


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_is_none_is_no_json(engine: Engine, literal: bytes) -> None:
    problem(send(engine, PRICE, b'{"product_id": "P-100", "quantity": ' + literal + b"}"), 400, "$")


@pytest.mark.parametrize("url", [PRICE, PRICES, EVENTS, RECALCULATE])
@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"5", b"true"])
def test_json_of_another_shape_is_refused(engine: Engine, url: str, body: bytes) -> None:
    problem(send(engine, url, body), 422, "$")


@pytest.mark.parametrize("url", [PRICE, PRICES, "/api/v1/products/P-100"])
def test_a_body_that_is_missing_is_told_so(engine: Engine, url: str) -> None:
    method = "PUT" if "products" in url else "POST"
    found = problem(engine.http.request(method, url, headers=engine.authorized), 400, "$")
    assert "body" in found["detail"]


@pytest.mark.parametrize("url", [PRICE, PRICES, EVENTS, RECALCULATE])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_without_end_is_refused(engine: Engine, url: str, opening: bytes, closing: bytes) -> None:
    deep = opening * 100_000 + b"1" + closing * 100_000
    for body in (deep, b'{"data": {"x": ' + deep + b"}}"):
        problem(send(engine, url, body), 400, "$")


@pytest.mark.parametrize("depth", [50, 300, 900, 1_000, 1_100])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_at_the_edge_is_no_fault_of_the_engine(
    engine: Engine, depth: int, opening: bytes, closing: bytes
) -> None:
    deep = opening * depth + b"1" + closing * depth
    events = b'[{"specversion": "1.0", "id": "deep-1", "source": "t", "type": "stock_changed", "data": %s}]' % deep
    batch = {"content-type": "application/cloudevents-batch+json"} | engine.authorized
    answers = [
        engine.http.post(EVENTS, content=events, headers=batch),
        *(
            send(engine, url, body % deep)
            for url in (PRICE, PRICES, EVENTS, RECALCULATE)
            for body in (b"%s", b'{"data": %s}', b'{"type": "stock_changed", "data": {"stock": 1, "x": %s}}')
        ),
    ]
    assert {answer.status_code for answer in answers} <= {200, 400, 422}, [answer.text[:300] for answer in answers]


@pytest.mark.parametrize("url", [PRICE, EVENTS])
def test_a_body_beyond_the_limit_is_refused(engine: Engine, url: str) -> None:
    refused = send(engine, url, b'{"product_id": "' + b"x" * 2_000_000 + b'"}')
    assert problem(refused, 413)["detail"] == "the body has more than 1,000,000 bytes"
    # Its rest is not read: whoever asked on over this connection would find it closed.
    assert refused.headers["connection"] == "close"


@pytest.mark.parametrize("rest", [b', "quantity": 1', b', "x": \xff}', b"}}", b', "quantity": nope}'])
def test_what_is_no_json_is_400_also_behind_a_wrong_field(engine: Engine, rest: bytes) -> None:
    problem(send(engine, PRICE, b'{"product_id": 5' + rest), 400, "$")


@pytest.mark.parametrize("sent", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"])
@pytest.mark.parametrize("url", [PRICE, PRICES, EVENTS])
def test_a_client_that_hangs_up_or_sends_a_bad_chunk_is_no_error_of_the_engine(
    engine: Engine, url: str, sent: bytes
) -> None:
    """Its status is 400 in the metrics, and the log has no line about it."""
    log = engine.home / "logs" / "api.log"
    before, refused, failed = log.stat().st_size, counted(engine, url, 400), counted(engine, url, 500)
    head = f"POST {url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {engine.key}\r\n"
    with socket.create_connection(("127.0.0.1", engine.settings.port), timeout=30) as connection:
        connection.sendall(head.encode() + sent)
        connection.shutdown(socket.SHUT_WR)
    # An earlier test's last request can be counted only now.
    eventually(lambda: counted(engine, url, 400) > refused, "the request is counted as 400")
    assert counted(engine, url, 500) == failed
    assert "error" not in log.read_text()[before:]


def counted(engine: Engine, url: str, status: int) -> float:
    line = (
        rf'http_request_duration_seconds_count{{method="POST",route="{url}",source="\w*",status="{status}"}} ([\d.]+)'
    )
    return sum(float(count) for count in re.findall(line, engine.http.get("/metrics").text))


@pytest.mark.parametrize("url", [PRICE, PRICES, EVENTS, RECALCULATE])
def test_a_body_of_another_type_is_refused(engine: Engine, url: str) -> None:
    headers = engine.authorized | {"content-type": "text/plain"}
    problem(engine.http.post(url, content=b"{}", headers=headers), 415)
