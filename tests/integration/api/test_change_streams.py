"""Streams at their limits: clients that do not read, too many of them, the end of the process. `just test-long`."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import httpx
import msgspec
import pytest

from api.console import access
from api.http.answers import LIVE_PATH
from shared.access import keys, sessions
from shared.changes import entries, log
from shared.changes.entries import MOST_PRODUCTS
from shared.postgres.pools import Pool
from shared.settings import Settings
from tests.support.api_server import ApiServer, serving
from tests.support.event_stream import Received, opened
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

MOST_STREAMS = 3
PATH = "/api/v1/price-changes"


@pytest.fixture(scope="module")
def server(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    home = tmp_path_factory.mktemp("api")
    with serving(settings, home, PRICING_STREAM_TIMEOUT_S=1, PRICING_MAX_STREAMS=MOST_STREAMS) as server:
        yield server


def client(server: ApiServer) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers=server.authorized, trust_env=False)


def append(pool: Pool, count: int, of: int = MOST_PRODUCTS) -> int:
    """Add entries of many products; the last id. No listener runs here."""
    items = [entries.PriceItem(f"P-{number}", 2, "EUR", Decimal(1), Decimal(2), "toys") for number in range(of)]
    lines = b"".join(msgspec.json.encode(item) + b"\n" for item in items)
    for _ in range(count):
        with pool.connection() as conn:
            log.append_prices(conn, lines)
    while True:
        with pool.connection() as conn:
            if not log.give_ids(conn):
                return log.position(conn).last


def metric(server: ApiServer, name: str) -> float:
    page = httpx.get(f"{server.url}/metrics", trust_env=False).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


@contextmanager
def silent(server: ApiServer) -> Iterator[socket.socket]:
    """A client that asks for the stream and reads nothing."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", server.port))
        head = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.key}\r\n\r\n"
        connection.sendall(head.encode())
        yield connection


def test_a_client_that_does_not_read_is_ended_with_a_reason_while_others_get_everything(
    server: ApiServer, pool: Pool
) -> None:
    ended = 'pricing_change_streams_ended_total{reason="slow"}'
    before = metric(server, ended)
    append(pool, 1, of=1)
    with client(server) as http, opened(http) as stream, silent(server) as connection:
        eventually(lambda: metric(server, "pricing_change_streams") == 2, "both streams are open")
        last = append(pool, 40)
        ids = [event.id for event in stream.until(last)]
        assert ids == list(range(last - 39, last + 1))
        eventually(lambda: metric(server, ended) == before + 1, "the silent client is ended")
        while connection.recv(1_000_000):
            pass
    eventually(lambda: metric(server, "pricing_change_streams") == 0, "no stream is open")


def test_a_client_that_reads_late_goes_on_where_it_was(server: ApiServer, pool: Pool) -> None:
    """More than a process keeps in memory: the rest is read from the log."""
    start = append(pool, 1, of=1)
    last = append(pool, 200)
    with client(server) as http, opened(http, last_event_id=start) as stream:
        assert [event.id for event in stream.until(last)] == list(range(start + 1, last + 1))


def test_a_filtered_stream_hears_how_far_the_log_is(server: ApiServer, pool: Pool) -> None:
    with client(server) as http, opened(http, product_id="nothing") as stream:
        last = append(pool, 2, of=1)
        alive = next(iter(stream))
    assert alive.data is None
    assert alive.id is not None
    assert alive.id <= last


def test_one_stream_too_many_is_refused(server: ApiServer) -> None:
    with client(server) as http, opened(http), opened(http), opened(http):
        refused = http.get(PATH)
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:pricing:unavailable")
    assert "retry-after" in refused.headers
    eventually(lambda: metric(server, "pricing_change_streams") == 0, "no stream is open")


def test_at_the_end_of_the_process_each_stream_is_told_and_none_holds_it_up(
    settings: Settings, pool: Pool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pool.connection() as conn:
        cookies = {access.COOKIE: sessions.begin(conn, keys.create(conn, "overview", ["catalogue:read"], "just")[0])}
    with serving(settings, tmp_path_factory.mktemp("ending"), PRICING_DRAIN_TIMEOUT_S=60) as server:
        with (
            client(server) as http,
            opened(http) as first,
            opened(http) as second,
            httpx.stream("GET", server.url + LIVE_PATH, cookies=cookies, timeout=60, trust_env=False) as overview,
        ):
            lines = overview.iter_lines()
            assert "event: now" in lines
            server.process.terminate()
            for stream in (first, second):
                assert list(stream)[-1] == Received("end", None, {"reason": "shutdown"})
            assert "event: end" not in lines  # the browser connects to the next process
        assert server.process.wait(timeout=30) == 0
