"""A receiver of webhooks of the tests' own, which answers as a test wants."""

import json
import ssl
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from standardwebhooks import Webhook


class Call(NamedTuple):
    """What arrived: the headers, the body as it was sent, and the time, by `time.time`."""

    path: str
    headers: dict[str, str]
    body: str
    at: float

    @property
    def content(self) -> dict[str, Any]:
        """The body, decoded."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def ids(self) -> list[int]:
        """The changes in it."""
        return [change["change_id"] for change in self.content["data"]]

    def verified(self, secret: str) -> dict[str, Any]:
        """The body, once the library has checked its signature and time.

        Raises:
            WebhookVerificationError: the signature is not of this secret, or the time is not now.
        """
        found: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return found

    def is_signed(self, secret: str, at: datetime) -> bool:
        """Whether it is signed with this secret at an instant, which need not be now."""
        own = Webhook(secret).sign(self.headers["webhook-id"], at, self.body)
        is_then = self.headers["webhook-timestamp"] == str(int(at.timestamp()))
        return is_then and own in self.headers["webhook-signature"].split()


class Receiver:
    """Listens on loopback.

    Attributes:
        calls: What arrived, in its order.
        accepted: Those of them that were answered with a success.
        status: The answer; None: bytes that are no HTTP.
        headers: Of the answer.
        hold: While set, a call is not answered.
    """

    def __init__(self, certificates: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.calls: list[Call] = []
        self.accepted: list[Call] = []
        self.status: int | None = 204
        self.headers: dict[str, str] = {}
        self.hold = threading.Event()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._scheme = "https" if certificates else "http"
        if certificates:
            self._server.socket = certificates.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        """Its address, under a name."""
        return f"{self._scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        """End it; calls that are held are let go."""
        self._closing.set()
        self.hold.clear()
        self._server.shutdown()
        self._server.server_close()

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805 # the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                call = Call(self.path, headers, body, time.time())
                receiver.calls.append(call)
                while receiver.hold.is_set() and not receiver._closing.wait(0.02):
                    pass
                if receiver.status is None:
                    self.wfile.write(b"\x00\xff garbage \r\n\r\n" * 100)
                    return
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()
                if 200 <= receiver.status < 300:
                    receiver.accepted.append(call)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the library's name
                """Nothing on the terminal."""

        return Handler
