"""Methods, odd paths, bodies that break off, and the headers of every answer."""

import asyncio
import base64
import gzip
import hashlib
import json
import re
from typing import Any, cast

import pytest

from api.edge.cors import Cors
from api.edge.protocol import Protocol
from tests.unit.api.framework import Answer, Framework, body

PRODUCT, TASK = "/api/v1/products/P-1", f"/api/v1/tasks/{'0' * 8}-{'-'.join(['0' * 4] * 3)}-{'0' * 12}"
ORIGIN = "https://shop.example.com"


@pytest.fixture(scope="module")
def framework() -> Framework:
    return Framework()


def problem(answer: Answer, status: int) -> dict[str, object]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, object] = json.loads(answer.body)
    return found


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/price", "OPTIONS, POST"),
        (PRODUCT, "DELETE, GET, HEAD, OPTIONS, PUT"),
        (TASK, "DELETE, GET, HEAD, OPTIONS"),
        ("/health/live", "GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_and_a_wrong_method_name_the_methods_of_the_path(framework: Framework, path: str, methods: str) -> None:
    options, refused = framework.ask("OPTIONS", path), framework.ask("PATCH", path)
    assert (options.status, options.headers["allow"], options.body) == (204, methods, b"")
    assert "content-type" not in options.headers
    assert refused.headers["allow"] == methods
    problem(refused, 405)


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE", "BREW"])
def test_a_path_that_does_not_exist_is_not_found_by_any_method(framework: Framework, method: str) -> None:
    assert framework.ask(method, "/api/v1/nothing").status == 404


@pytest.mark.parametrize("path", ["/health/live", "/docs", "/docs/openapi.json", "/assets/swagger-ui/swagger-ui.css"])
def test_head_has_the_headers_of_get_and_no_body(framework: Framework, path: str) -> None:
    get, head = framework.ask("GET", path), framework.ask("HEAD", path)
    assert head == get._replace(body=b"")
    assert int(head.headers["content-length"]) == len(get.body) > 0


def test_head_of_a_path_without_get_is_refused(framework: Framework) -> None:
    assert framework.ask("HEAD", "/api/v1/price").status == 405


@pytest.mark.parametrize(
    "name", ["%00", "a%00b", "%ff", "x" * 300, "swagger-ui.css%2Fx", "..%2F..%2Fx", "%2e%2e", "~", "%"]
)
def test_an_odd_path_is_not_found(framework: Framework, name: str) -> None:
    for path in (f"/{name}", f"/assets/swagger-ui/{name}", f"/assets/{name}/x", f"/docs/a/{name}"):
        assert framework.ask("GET", path).status == 404, path


@pytest.mark.parametrize("byte", range(256))
def test_any_byte_in_a_path_is_not_found(framework: Framework, byte: int) -> None:
    for path in (f"/x%{byte:02x}", f"/assets/swagger-ui/%{byte:02X}.css"):
        problem(framework.ask("GET", path), 404)


def test_a_file_within_a_file_is_not_found(framework: Framework) -> None:
    problem(framework.ask("GET", "/assets/swagger-ui/swagger-ui.css/x"), 404)


@pytest.mark.parametrize("first", [[], [{"type": "http.request", "body": b'{"product_id":', "more_body": True}]])
def test_a_body_that_breaks_off_is_no_error_of_the_engine(
    framework: Framework, first: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = framework.ask("POST", "/api/v1/price", *first, {"type": "http.disconnect"}, content_length="100")
    assert "breaks off" in str(problem(answer, 400)["detail"])
    assert "error" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("path", ["/health/live", "/nothing", "/docs", "/assets/swagger-ui/swagger-ui.css"])
def test_no_browser_guesses_a_type(framework: Framework, path: str) -> None:
    assert framework.ask("GET", path).headers["x-content-type-options"] == "nosniff"


def test_the_page_of_the_documentation_runs_its_own_scripts_only(framework: Framework) -> None:
    page = framework.ask("GET", "/docs")
    policy = page.headers["content-security-policy"]
    scripts = re.findall(rb"<script(?![^>]* src=)[^>]*>(.*?)</script>", page.body, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    assert f"script-src 'self' 'sha256-{digests[0]}';" in policy
    assert len(digests) == 1
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert (page.headers["x-frame-options"], page.headers["referrer-policy"]) == ("DENY", "no-referrer")


def test_no_page_of_another_origin_may_read_an_answer_by_default(framework: Framework) -> None:
    for method in ("GET", "OPTIONS"):
        answer = framework.ask(method, "/health/live", origin=ORIGIN, access_control_request_method="GET")
        assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (ORIGIN, ORIGIN, ORIGIN),
        (f"https://other.example.com, {ORIGIN}", ORIGIN, ORIGIN),
        ("*", ORIGIN, "*"),
        (ORIGIN, "https://shop.example.com.evil.example", None),
        (ORIGIN, "null", None),
    ],
)
def test_the_pages_of_named_origins_may_read_answers(origins: str, origin: str, allowed: str | None) -> None:
    framework = Framework(origins)
    for path in ("/health/live", "/nothing"):
        answer = framework.ask("GET", path, origin=origin)
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert answer.headers["vary"] == "Origin"


def test_a_preflight_names_the_methods_of_the_path_and_the_headers_of_the_api() -> None:
    preflight = Framework(ORIGIN).ask("OPTIONS", PRODUCT, origin=ORIGIN, access_control_request_method="PUT")
    assert preflight.status == 204
    assert (
        preflight.headers["access-control-allow-methods"]
        == preflight.headers["allow"]
        == "DELETE, GET, HEAD, OPTIONS, PUT"
    )
    assert {"authorization", "content-type", "if-match", "idempotency-key"} <= set(
        preflight.headers["access-control-allow-headers"].split(", ")
    )


def test_a_body_that_is_whole_is_read(framework: Framework) -> None:
    problem(framework.ask("POST", "/api/v1/price", body(b"{"), content_length="1"), 400)


@pytest.mark.parametrize("path", ["/health/live", "/docs/openapi.json", "/assets/swagger-ui/swagger-ui.css"])
def test_an_answer_that_the_caller_has_is_not_sent_again(framework: Framework, path: str) -> None:
    whole = framework.ask("GET", path)
    tag = whole.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        for method in ("GET", "HEAD"):
            again = framework.ask(method, path, if_none_match=known)
            assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
            assert "content-length" not in again.headers
    assert framework.ask("GET", path, if_none_match='"other"') == whole


def test_an_error_has_no_tag(framework: Framework) -> None:
    missing = framework.ask("GET", "/assets/swagger-ui/nothing", if_none_match="*")
    assert (missing.status, missing.headers.get("etag")) == (404, None)


def test_a_large_answer_is_compressed_where_the_caller_accepts_it(framework: Framework) -> None:
    path = "/assets/swagger-ui/swagger-ui-bundle.js"
    plain, packed = framework.ask("GET", path), framework.ask("GET", path, accept_encoding="br, gzip")
    assert len(plain.body) == int(plain.headers["content-length"]) > 200_000
    assert (plain.headers.get("content-encoding"), packed.headers["content-encoding"]) == (None, "gzip")
    assert gzip.decompress(packed.body) == plain.body
    assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body) / 2
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    # The tag of either form stands for both.
    assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
    assert framework.ask("GET", path, if_none_match=packed.headers["etag"]).status == 304
    head = framework.ask("HEAD", path, accept_encoding="gzip")
    assert (head.headers, head.body) == (packed.headers, b"")


@pytest.mark.parametrize(
    "path", ["/assets/swagger-ui/swagger-ui.css", "/health/live", "/assets/swagger-ui/favicon-32x32.png"]
)
def test_a_small_answer_is_not_compressed(framework: Framework, path: str) -> None:
    answer = framework.ask("GET", path, accept_encoding="gzip")
    assert (answer.status, answer.headers.get("content-encoding")) == (200, None)
    assert len(answer.body) < 200_000


def test_a_compressed_answer_may_be_read_by_a_page_of_a_named_origin() -> None:
    path = "/assets/swagger-ui/swagger-ui-bundle.js"
    answer = Framework(ORIGIN).ask("GET", path, accept_encoding="gzip", origin=ORIGIN)
    assert set(answer.headers["vary"].split(", ")) == {"Origin", "Accept-Encoding"}


def test_a_stream_begins_before_its_first_event() -> None:
    sent: list[Any] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        assert [message["type"] for message in sent] == ["http.response.start"]
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def keep(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/stream", "headers": [], "state": {}}
    asyncio.run(Protocol(cast(Any, stream), Cors(""))(cast(Any, scope), cast(Any, None), keep))
    assert [message.get("body") for message in sent] == [None, b"data: 1\n\n", b""]
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]


@pytest.mark.parametrize("path", ["/docs/nothing", "/docs/a/b", "/docs/%00"])
def test_an_unknown_page_of_the_docs_is_a_problem(framework: Framework, path: str) -> None:
    problem(framework.ask("GET", path), 404)
