"""The formats that a request may send and accept, and its query string."""

import asyncio
import json
from contextlib import nullcontext
from typing import Any

import pytest
from litestar.exceptions import HTTPException
from litestar.testing import RequestFactory

from api.edge.cors import Cors
from api.http.negotiation import JSON, PROBES, _check_query, accepts, accepts_gzip, check, is_usual, query_parameters
from shared.errors import InvalidInput
from tests.unit.api.framework import Framework, body, litestar

PRICE = "/api/v1/price"
BROKEN = body(b"{")
Headers = list[tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def framework() -> Framework:
    return Framework()


def ask(framework: Framework, url: str, **headers: str) -> dict[str, Any]:
    """The problem of a price query whose body is not JSON: 400 where nothing else is wrong."""
    answer = framework.ask("POST", url, BROKEN, content_length="1", **headers)
    found: dict[str, Any] = json.loads(answer.body)
    assert answer.status == found["status"]
    return found


@pytest.mark.parametrize(
    ("accept", "is_accepted"),
    [
        ("", True),
        ("*/*", True),
        ("application/json", True),
        ("APPLICATION/JSON;charset=utf-8", True),
        ("application/*;q=0.1", True),
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("application/json;q=0, */*", False),
        ("application/*;q=0, */*", False),
        ("*/*;q=0", False),
        ("text/html", False),
        ("application/jsonx", False),
        ("text/html;q=1, text/plain", False),
        ("application/json;q=nonsense", False),
        ("application/json;q=0, application/json", True),
        (", ,", True),
    ],
)
def test_an_accept_that_excludes_json_is_not_acceptable(framework: Framework, accept: str, is_accepted: bool) -> None:
    assert accepts(JSON, [accept]) is is_accepted
    assert ask(framework, PRICE, accept=accept)["status"] == (400 if is_accepted else 406)
    assert is_usual([(b"accept", accept.encode())]) is is_accepted


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("", True),
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON", True),
        ("application/x-www-form-urlencoded", True),
        ("application/merge-patch+json", True),
        ("text/plain", False),
        ("application/msgpack", False),
        ("multipart/form-data; boundary=x", False),
        ("application/xml", False),
        ("json", False),
    ],
)
def test_a_body_of_another_type_than_json_is_refused(framework: Framework, content_type: str, is_json: bool) -> None:
    answer = framework.ask("POST", PRICE, BROKEN, content_length="1", content_type=content_type)
    assert answer.status == (400 if is_json else 415)
    assert answer.headers.get("accept") == (None if is_json else "application/json")
    assert is_usual([(b"content-type", content_type.encode())]) is is_json


def test_the_type_of_no_body_does_not_matter(framework: Framework) -> None:
    assert framework.ask("GET", "/health/live", content_type="text/plain").status == 200


@pytest.mark.parametrize(
    ("encoding", "is_plain"),
    [
        ("gzip", False),
        ("br, gzip", False),
        ("identity, GZIP", False),
        ("identity", True),
        ("Identity", True),
        ("", True),
    ],
)
def test_a_body_with_a_content_coding_is_refused_also_where_it_is_json(
    framework: Framework, encoding: str, is_plain: bool
) -> None:
    """The body `{}` lacks the product: 422 where it is read."""
    answer = framework.ask("POST", PRICE, body(b"{}"), content_length="2", content_encoding=encoding)
    assert answer.status == (422 if is_plain else 415)
    assert answer.headers.get("accept-encoding") == (None if is_plain else "identity")
    assert is_usual([(b"content-encoding", encoding.encode())]) is is_plain


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("colour=red", "$.colour"),
        ("explain=true&colour=red", "$.colour"),
        ("explain=true&explain=true", "$.explain"),
        ("explain=%ff", "$.explain"),
        ("%ff=true", "$"),
        ("=", "$."),
        ("&".join(["explain=true"] * 101), "$"),
    ],
)
def test_a_query_string_with_anything_unknown_is_refused(framework: Framework, query: str, path: str) -> None:
    found = ask(framework, f"{PRICE}?{query}")
    assert (found["status"], found["path"]) == (422, path)


@pytest.mark.parametrize("query", ["", "explain=true", "explain=0", "&&explain=true&"])
def test_a_known_parameter_is_read(framework: Framework, query: str) -> None:
    assert ask(framework, f"{PRICE}?{query}")["status"] == 400


def test_a_scrape_with_parameters_is_not_refused_for_them(framework: Framework) -> None:
    assert framework.ask("GET", "/docs?theme=dark").status == 200


@pytest.mark.parametrize(
    ("headers", "is_plain"),
    [
        ([], True),
        ([(b"host", b"x"), (b"accept", b"*/*"), (b"content-type", b"application/json")], True),
        ([(b"accept", b"text/html"), (b"accept", b"*/*")], False),
        ([(b"accept", b"*/*"), (b"content-type", b"text/plain")], False),
    ],
)
def test_the_fast_path_takes_what_the_check_passes(headers: Headers, is_plain: bool) -> None:
    assert is_usual(headers) is is_plain


def test_a_page_of_another_origin_is_answered_by_the_framework() -> None:
    cors = Cors("https://shop.example.com")
    assert cors.is_usual([(b"host", b"x")])
    assert not cors.is_usual([(b"host", b"x"), (b"origin", b"https://shop.example.com")])


@pytest.mark.parametrize(
    ("accepted", "is_asked"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("gzip;q=0", False),
        ("identity, br", False),
        ("", False),
    ],
)
def test_gzip_is_sent_where_the_caller_asks_for_it(accepted: str, is_asked: bool) -> None:
    assert accepts_gzip([accepted]) is is_asked


def test_every_operation_checks_its_query_string_its_accept_and_the_type_of_its_body() -> None:
    app = litestar()
    factory = RequestFactory(app=app)
    handlers: list[Any] = [handler for route in app.routes for handler in getattr(route, "route_handlers", [])]
    checked = {handler.operation_id: handler for handler in handlers if handler.operation_id}
    assert checked.keys() > PROBES
    for operation_id in PROBES:
        handler = checked.pop(operation_id)
        odd = factory.get("/x", headers={"accept": "image/png"}, query_params={"colour": "red"}, route_handler=handler)
        asyncio.run(check(odd))
    for operation_id, handler in checked.items():
        with pytest.raises(InvalidInput):
            asyncio.run(check(factory.get("/x", query_params={"colour": "red"}, route_handler=handler)))
        with pytest.raises(HTTPException) as refused:
            asyncio.run(check(factory.get("/x", headers={"accept": "image/png"}, route_handler=handler)))
        assert refused.value.status_code == 406, operation_id
        if "data" in handler.parsed_fn_signature.parameters:
            headers = {"content-type": "text/plain", "content-length": "2"}
            with pytest.raises(HTTPException) as refused:
                asyncio.run(check(factory.post("/x", headers=headers, route_handler=handler)))
            assert refused.value.status_code == 415, operation_id


@pytest.mark.parametrize(
    ("operation_id", "query", "is_refused"),
    [
        ("listAuditLog", "key_id=null", True),
        ("getRulebook", "version=NULL", True),
        ("getPriceHistory", "before_version=null", True),
        ("listHolds", "code=null", True),
        ("listProducts", "query=null", False),
    ],
)
def test_null_is_a_text_and_no_parameter_that_is_left_out(operation_id: str, query: str, *, is_refused: bool) -> None:
    app = litestar()
    known = query_parameters(app)[operation_id]
    with pytest.raises(InvalidInput, match="null") if is_refused else nullcontext():
        _check_query(query.encode(), known)
