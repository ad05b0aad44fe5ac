"""The HTTP server of the workers and of the listener: metrics, and health for machines."""

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec
from prometheus_client import make_wsgi_app

from shared.telemetry.exposition import group_registry
from shared.telemetry.heartbeats import Health

# Time in which a caller must send its request: a connection holds a thread.
IDLE_S = 10.0


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """One thread a request."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def handle(self) -> None:
        """Answer one request; a caller that sends none or goes away is no error."""
        with suppress(TimeoutError, ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the library's name
        """Log nothing: probes come every few seconds."""


def start(host: str, port: int, health: Callable[[], Health], idle_s: float = IDLE_S) -> ThreadingServer:
    """Serve `/metrics`, `/health/live` and `/health/ready` on a thread, until `shutdown`.

    Health is 200 or 503, with the age of each loop's last turn and success. No probe calls a server. A connection
    without a request is closed after `idle_s` seconds.

    Raises:
        OSError: the port is taken.
    """
    metrics = make_wsgi_app(group_registry())

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path not in ("/health/live", "/health/ready"):
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        found = health()
        is_good, word = (found.is_live, "live") if path == "/health/live" else (found.is_ready, "ready")
        status = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [msgspec.json.encode({"status": word if is_good else f"not {word}", "loops": found.loops})]

    server_class = type("Server", (ThreadingServer,), {"address_family": _family(host)})
    handler_class = type("Handler", (_Quiet,), {"timeout": idle_s})
    server: ThreadingServer = make_server(host, port, app, server_class, handler_class)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
