"""Callers that send slowly, half, nothing or too much, over sockets, to the API as it runs."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from shared.settings import Settings
from tests.support.api_server import ApiServer, serving

IDLE_S, BODY_S = 1, 0.5
LATEST_S = 20.0
HOST = b"Host: localhost\r\n"
SILENT, HALF_LINE, HALF_HEADER = b"", b"GET /health/l", b"GET /health/live HTTP/1.1\r\nHost: loc"
WHOLE = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.fixture(scope="module")
def server(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    home = tmp_path_factory.mktemp("api")
    with serving(settings, home, PRICING_IDLE_TIMEOUT_S=IDLE_S, PRICING_BODY_TIMEOUT_S=BODY_S) as server:
        yield server


def half_body(path: str, server: ApiServer, sent: bytes = b'{"prod', method: str = "POST") -> bytes:
    """A request of which one part is sent, and the rest never."""
    head = f"{method} {path} HTTP/1.1\r\nContent-Length: 100\r\nAuthorization: Bearer {server.key}\r\n"
    return head.encode() + HOST + b"\r\n" + sent


def until_closed(server: ApiServer, sent: bytes) -> bytes:
    """Everything that the server answers to these bytes before it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=LATEST_S) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65_536):
            received += part
        return received


@pytest.mark.parametrize("sent", [SILENT, HALF_LINE, HALF_HEADER])
def test_a_connection_without_a_whole_header_is_closed(server: ApiServer, sent: bytes) -> None:
    assert until_closed(server, sent) == b""


def test_an_idle_connection_is_closed(server: ApiServer) -> None:
    assert until_closed(server, WHOLE).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", b'{"prod'])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/price"),
        ("POST", "/api/v1/price?explain=true"),
        ("POST", "/api/v1/prices"),
        ("POST", "/api/v1/publish-market-event"),
        ("PUT", "/api/v1/products/P-1"),
    ],
)
def test_a_body_that_does_not_come_is_answered_408(server: ApiServer, method: str, path: str, sent: bytes) -> None:
    head, _, body = until_closed(server, half_body(path, server, sent, method)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 "), head
    problem = json.loads(body)
    assert (problem["status"], problem["type"]) == (408, "urn:pricing:slow-body")
    assert f"traceresponse: 00-{problem['trace_id']}-".encode() in head


@pytest.mark.parametrize("chunk", [b"5\r\nab", b"zz\r\n"])
def test_a_chunk_that_is_half_or_wrong_ends_the_request(server: ApiServer, chunk: bytes) -> None:
    head = b"POST /api/v1/prices HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n"
    answer = until_closed(server, head + chunk)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 ")), answer


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (b"GET /%s HTTP/1.1\r\n" % (b"x" * 9_000), HOST, 414),
        (b"GET /api/v1/tasks?limit=%s HTTP/1.1\r\n" % (b"1" * 9_000), HOST, 414),
        (b"GET /health/live HTTP/1.1\r\n", HOST + b"X-Long: %s\r\n" % (b"x" * 20_000), 431),
        (b"GET /health/live HTTP/1.1\r\n", HOST + b"".join(b"X-%d: x\r\n" % n for n in range(200)), 431),
    ],
)
def test_a_url_or_header_beyond_its_limit_is_refused(
    server: ApiServer, line: bytes, headers: bytes, status: int
) -> None:
    assert until_closed(server, line + headers + b"\r\n").startswith(b"HTTP/1.1 %d " % status)


def test_half_requests_do_not_hold_the_end(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without their end this would not end: every time limit is ten minutes."""
    limits = {f"PRICING_{name}_TIMEOUT_S": 600 for name in ("IDLE", "BODY", "DRAIN")}
    with ExitStack() as stack:
        server = stack.enter_context(serving(settings, tmp_path_factory.mktemp("api"), **limits))
        for sent in (
            SILENT,
            HALF_LINE,
            HALF_HEADER,
            WHOLE,
            *(half_body(f"/api/v1/{name}", server) for name in ("price", "prices")),
        ):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(sent)
        assert server.answers()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=LATEST_S) == 0
