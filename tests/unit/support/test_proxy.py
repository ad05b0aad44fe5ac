"""The faults that the proxy makes are real: bytes late, gone, swallowed, held, connections cut."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.support.proxy import Proxy, proxy_to
from tests.support.trap import Fate, Trap, process_at

WAIT_S = 5


class Echo(socketserver.BaseRequestHandler):
    """Answers each request with itself, in brackets, and notes it."""

    heard: list[bytes]

    def handle(self) -> None:
        while data := self.request.recv(1000):
            self.heard.append(data)
            self.request.sendall(b"<" + data + b">")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def heard() -> list[bytes]:
    return []


@pytest.fixture
def proxy(heard: list[bytes]) -> Iterator[Proxy]:
    handler = type("Handler", (Echo,), {"heard": heard})
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with proxy_to(f"redis://:secret@127.0.0.1:{server.server_address[1]}/0") as proxy:
            yield proxy
        server.shutdown()


class Caller:
    """A client that gives up after a while."""

    def __init__(self, proxy: Proxy) -> None:
        port = int(proxy.url().rpartition(":")[2].partition("/")[0])
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, request: bytes, wait_s: float = WAIT_S) -> bytes | None:
        """The answer; None where none comes in time, empty where the connection has ended."""
        try:
            self.socket.settimeout(wait_s)
            self.socket.sendall(request)
            return self.socket.recv(1000)
        except TimeoutError:
            return None
        except OSError:
            return b""


def test_what_is_said_goes_on_and_the_url_keeps_its_password(proxy: Proxy) -> None:
    with Caller(proxy) as caller:
        assert caller.ask(b"hello") == b"<hello>"
    assert ":secret@127.0.0.1:" in proxy.url()
    assert proxy.url("/1").endswith("/1")


def test_a_shut_proxy_puts_out_and_turns_away_until_it_opens(proxy: Proxy) -> None:
    with Caller(proxy) as caller:
        caller.ask(b"hello")
        proxy.shut()
        assert caller.ask(b"still there?") == b""
        with Caller(proxy) as second:
            assert second.ask(b"hello") == b""
        proxy.open()
        with Caller(proxy) as third:
            assert third.ask(b"hello") == b"<hello>"


def test_bytes_of_a_black_hole_vanish_and_other_connections_go_on(proxy: Proxy, heard: list[bytes]) -> None:
    with Caller(proxy) as chosen, Caller(proxy) as other:
        chosen.ask(b"SUBSCRIBE")
        other.ask(b"GET")
        assert proxy.black_hole(b"SUBSCRIBE") == 1
        assert chosen.ask(b"ping", wait_s=0.2) is None
        assert other.ask(b"ping") == b"<ping>"
        proxy.heal()
        assert chosen.ask(b"ping") == b""
    assert heard.count(b"ping") == 1


def test_one_reply_is_swallowed_although_the_server_did_what_was_asked(proxy: Proxy, heard: list[bytes]) -> None:
    with proxy.trap(Trap((b"INCR", b"counter"), Fate.UNANSWERED)) as trap, Caller(proxy) as caller:
        assert caller.ask(b"INCR other") == b"<INCR other>"
        assert caller.ask(b"INCR counter", wait_s=1) is None
        assert caller.ask(b"INCR counter") == b"<INCR counter>"
        trap.wait("the reply was swallowed")
    assert heard == [b"INCR other", b"INCR counter", b"INCR counter"]


def test_a_reply_that_is_not_meant_is_passed_on_and_the_trap_stays_set(proxy: Proxy) -> None:
    trap = Trap((b"fetch",), Fate.UNANSWERED, reply=lambda reply: b"full" in reply)
    with proxy.trap(trap), Caller(proxy) as caller:
        assert caller.ask(b"fetch empty") == b"<fetch empty>"
        assert caller.ask(b"fetch full", wait_s=0.2) is None


def test_a_held_request_goes_on_when_it_is_released(proxy: Proxy, heard: list[bytes]) -> None:
    with proxy.trap(Trap((b"put",), Fate.HELD)) as trap, Caller(proxy) as caller, Caller(proxy) as other:
        assert caller.ask(b"put 1", wait_s=0.2) is None
        assert other.ask(b"put 2") == b"<put 2>"
        assert heard == [b"put 2"]
        trap.release()
        caller.socket.settimeout(WAIT_S)
        assert caller.socket.recv(1000) == b"<put 1>"


def test_a_cut_request_never_arrives_and_its_sender_is_known(proxy: Proxy, heard: list[bytes]) -> None:
    ports: list[int] = []

    def act(port: int) -> bool:
        ports.append(port)
        return True

    trap = Trap((b"put",), Fate.CUT, act=act)
    me = psutil.Process()
    with proxy.trap(trap), Caller(proxy) as caller:
        own = caller.socket.getsockname()[1]
        assert process_at(own, [me]) == me
        assert process_at(own, me.parents()) is None
        assert caller.ask(b"put 1") == b""
    assert (heard, ports, trap.sprung[0].port) == ([], [own], own)


def test_replies_come_late_where_a_delay_is_set(proxy: Proxy) -> None:
    with Caller(proxy) as caller:
        proxy.delay_s = 0.2
        began = time.monotonic()
        assert caller.ask(b"hello") == b"<hello>"
        assert time.monotonic() - began >= 0.2


def test_a_server_that_is_away_is_one_that_hangs_up() -> None:
    with proxy_to("redis://127.0.0.1:1") as to_nothing, Caller(to_nothing) as caller:
        assert caller.ask(b"hello") == b""
