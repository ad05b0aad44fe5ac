"""A body that is no JSON, has another shape or is too large gets a problem document."""

import pytest

from tests.e2e.bad_input.problem_documents import EVENTS, PRICE, PRICES, RECALCULATE, problem, send
from tests.support.engine import Engine


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
        response = send(engine, url, body)
        assert response.status_code in {400, 422}, response.text[:500]


@pytest.mark.parametrize("url", [PRICE, EVENTS])
def test_a_body_beyond_the_limit_is_refused(engine: Engine, url: str) -> None:
    refused = send(engine, url, b'{"product_id": "' + b"x" * 2_000_000 + b'"}')
    problem(refused, 413)
    # Its rest is not read: whoever asked on over this connection would find it closed.
    assert refused.headers["connection"] == "close"


@pytest.mark.parametrize("rest", [b', "quantity": 1', b', "x": \xff}', b"}}", b', "quantity": nope}'])
def test_what_is_no_json_is_400_also_behind_a_wrong_field(engine: Engine, rest: bytes) -> None:
    problem(send(engine, PRICE, b'{"product_id": 5' + rest), 400, "$")
