"""The hot path answers as the plain handler does: one corpus of good and bad requests, through both.

`?explain=0` goes to the plain handler, `?explain=false` and no query string go through the fast_path.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from tests.support.engine import Engine

PATH = "/api/v1/price"
KEPT = (
    "content-type",
    "content-length",
    "retry-after",
    "allow",
    "www-authenticate",
    "accept",
    "x-content-type-options",
)
BIG = 10_000_000


class Answer(NamedTuple):
    """What a client sees, but for the trace, which is new each time."""

    status: int
    headers: dict[str, str]
    body: bytes


def talk(engine: Engine, request: bytes) -> bytes:
    """Send bytes over a connection of their own; everything that comes back until it closes."""
    with socket.create_connection(("127.0.0.1", engine.settings.port), timeout=30) as connection:
        received = b""
        with suppress(BrokenPipeError, ConnectionResetError):  # a body that nobody wants to read
            connection.sendall(request)
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                received += chunk
    return received


def ask(engine: Engine, query: str, headers: dict[str, str], body: bytes, method: str = "POST") -> Answer:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    lines = {"host": "x", "connection": "close", "traceparent": f"00-{trace_id}-{'1' * 16}-00", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    raw = talk(engine, f"{method} {PATH}{query} HTTP/1.1\r\n{head}\r\n".encode() + body)
    top, _, rest = raw.partition(b"\r\n\r\n")
    status, *fields = top.decode("latin-1").split("\r\n")
    named = dict(field.lower().split(": ", 1) for field in fields)
    if "traceresponse" in named:
        assert named["traceresponse"].split("-")[1] == trace_id
    return Answer(int(status.split()[1]), {name: named[name] for name in KEPT if name in named}, rest)


def sized(body: bytes, **headers: str) -> dict[str, str]:
    return {"content-type": "application/json", "content-length": str(len(body)), **headers}


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


BODIES: dict[str, bytes] = {
    "usual": b'{"product_id":"P-100","user_location":"NY","is_prime_member":true,"quantity":12}',
    "least": b'{"product_id":"P-101"}',
    "own-currency": b'{"product_id":"P-100","currency":"USD"}',
    "spaces-and-another-order": b' {\n"quantity" : 2 , "product_id":"P-100"\t} ',
    "escaped": b'{"product_id":"\\u0050-100"}',
    "unknown-location": b'{"product_id":"P-100","user_location":"\xc3\xa9 nowhere"}',
    "nulls": b'{"product_id":"P-100","user_location":null,"currency":null}',
    "duplicate-keys": b'{"product_id":"P-101","product_id":"P-100"}',
    "unknown-product": b'{"product_id":"P-unknown"}',
    "another-currency": b'{"product_id":"P-100","currency":"EUR"}',
    "no-currency": b'{"product_id":"P-100","currency":"ZZZ"}',
    "empty": b"",
    "truncated": b'{"product_id":"P-1',
    "not-json": b"hello",
    "two-documents": b'{"product_id":"P-100"}{}',
    "array": b"[]",
    "null": b"null",
    "number": b"1",
    "deep": b'{"product_id":' * 5_000 + b"1" + b"}" * 5_000,
    "deep-array": b"[" * 100_000,
    "unknown-field": b'{"product_id":"P-100","colour":"red"}',
    "nothing-asked": b"{}",
    "quantity-zero": b'{"product_id":"P-100","quantity":0}',
    "quantity-negative": b'{"product_id":"P-100","quantity":-1}',
    "quantity-fraction": b'{"product_id":"P-100","quantity":1.5}',
    "quantity-text": b'{"product_id":"P-100","quantity":"1"}',
    "quantity-nan": b'{"product_id":"P-100","quantity":NaN}',
    "quantity-hundred-digits": b'{"product_id":"P-100","quantity":' + b"9" * 100 + b"}",
    "quantity-exponent": b'{"product_id":"P-100","quantity":1e999999}',
    "quantity-whole-float": b'{"product_id":"P-100","quantity":2.0}',
    "channel": b'{"product_id":"P-100","channel":"app"}',
    "small-letters": b'{"product_id":"P-100","user_location":" ny "}',
    "groups": b'{"product_id":"P-100","customer_groups":["b2b"]}',
    "customer": b'{"product_id":"P-100","customer_id":"c-1"}',
    "attributes": b'{"product_id":"P-100","attributes":{"size":2.5,"new":true,"colours":["red"]}}',
    "attributes-nested": b'{"product_id":"P-100","attributes":{"size":{"x":1}}}',
    "attributes-many": b'{"product_id":"P-100","attributes":{' + b",".join(b'"%d":1' % n for n in range(17)) + b"}}",
    "at-without-offset": b'{"product_id":"P-100","at":"2030-01-01T00:00:00"}',
    "member-number": b'{"product_id":"P-100","is_prime_member":1}',
    "id-nul": b'{"product_id":"P-1\\u0000"}',
    "id-newline": b'{"product_id":"P-1\\n"}',
    "id-long": b'{"product_id":"' + b"P" * 129 + b'"}',
    "id-number": b'{"product_id":7}',
    "location-empty": b'{"product_id":"P-100","user_location":""}',
    "location-nul": b'{"product_id":"P-100","user_location":"a\\u0000"}',
    "not-utf-8": b'{"product_id":"P-100","user_location":"\xff\xfe"}',
    "utf-16": '{"product_id":"P-100"}'.encode("utf-16"),
    "byte-order-mark": b'\xef\xbb\xbf{"product_id":"P-100"}',
    "lone-surrogate": b'{"product_id":"P-100","user_location":"\\ud800"}',
    "large": b'{"product_id":"P-100","user_location":"' + b"x" * 500_000 + b'"}',
    "too-large": b'{"product_id":"' + b"P" * BIG + b'"}',
}


@pytest.fixture(autouse=True)
def cached(engine: Engine) -> None:
    """Both ways then answer `cache`."""
    for product_id in ("P-100", "P-101"):
        engine.price(product_id)


def both(engine: Engine, headers: dict[str, str], body: bytes, method: str = "POST") -> Iterator[Answer]:
    yield ask(engine, "?explain=0", headers, body, method)
    yield ask(engine, "", headers, body, method)
    yield ask(engine, "?explain=false", headers, body, method)


@pytest.mark.parametrize("what", BODIES)
def test_any_body_gets_the_same_answer(engine: Engine, what: str) -> None:
    plain, *fast_path = both(engine, sized(BODIES[what]), BODIES[what])
    assert fast_path == [plain, plain]
    assert plain.status < 500


@pytest.mark.parametrize("what", ["groups", "customer", "attributes"])
def test_a_query_that_needs_a_key_gets_the_same_answer_with_and_without_one(engine: Engine, what: str) -> None:
    plain, *fast_path = both(engine, sized(BODIES[what]), BODIES[what])
    assert [plain.status, *(one.status for one in fast_path)] == [401] * 3
    headers = sized(BODIES[what], authorization=engine.authorized["authorization"])
    plain, *fast_path = both(engine, headers, BODIES[what])
    assert plain.status == 200
    assert fast_path == [plain, plain]


@pytest.mark.parametrize("what", ["usual", "unknown-product", "truncated", "unknown-field", "large"])
def test_a_chunked_body_gets_the_same_answer(engine: Engine, what: str) -> None:
    body = BODIES[what]
    headers = {"content-type": "application/json", "transfer-encoding": "chunked"}
    for chunks in ((body,), (body[:7], body[7:])):
        plain, *fast_path = both(engine, headers, chunked(*chunks))
        assert fast_path == [plain, plain]
        assert plain == ask(engine, "?explain=0", sized(body), body)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/msgpack"},
        {"content-encoding": "gzip"},
        {"accept": "text/html"},
        {"accept": "*/*"},
        {"accept": "application/json, text/plain, */*"},
        {"accept": "application/json;q=0, */*"},
        {"authorization": "Bearer nobody"},
    ],
    ids=str,
)
def test_any_header_gets_the_same_answer(engine: Engine, headers: dict[str, str]) -> None:
    plain, *fast_path = both(engine, sized(BODIES["usual"], **headers), BODIES["usual"])
    assert fast_path == [plain, plain]


def test_a_query_without_a_length_gets_the_same_answer(engine: Engine) -> None:
    plain, *fast_path = both(engine, {"content-type": "application/json"}, b"")
    assert fast_path == [plain, plain]
    assert plain.status == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"])
def test_another_method_gets_the_same_answer(engine: Engine, method: str) -> None:
    plain, *fast_path = both(engine, sized(BODIES["usual"]), BODIES["usual"], method)
    assert fast_path == [plain, plain]


def test_an_explanation_is_the_same(engine: Engine) -> None:
    body = BODIES["usual"]
    plain, fast_path = (ask(engine, f"?explain={yes}", sized(body), body) for yes in ("1", "true"))
    assert plain == fast_path
    assert b'"steps":' in plain.body


@pytest.mark.parametrize("query", ["?explain=maybe", "?explain=true&explain=false", "?", "?colour=red", "?explain="])
def test_any_query_string_has_the_answer_of_the_plain_handler(engine: Engine, query: str) -> None:
    body = BODIES["usual"]
    answer = ask(engine, query, sized(body), body)
    assert answer.status in {200, 422}, answer


def test_requests_on_one_connection_do_not_mix(engine: Engine) -> None:
    """Bodies of any kind, one after the other over a connection that stays."""
    asked: list[Any] = []
    for what in ("usual", "truncated", "least", "unknown-product", "usual"):
        response = engine.http.post(PATH, content=BODIES[what], headers={"content-type": "application/json"})
        asked.append((response.status_code, response.json().get("product_id")))
    assert asked == [(200, "P-100"), (400, None), (200, "P-101"), (404, None), (200, "P-100")]
