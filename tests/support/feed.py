"""A market-data feed of the tests' own, which can be taken away and brought back on the same port."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeFeed:
    """Answers quotes for the products asked for.

    Attributes:
        quotes: What it knows: product id → quotes, as the feed's contract has them.
        requests: The bodies and headers of what it was asked.
        hold: While set, it takes requests and does not answer them.
        delay_s: How long an answer takes.
        asked: Called with the port that a request came from and the products that it names, before the answer.
    """

    def __init__(self) -> None:
        self.quotes: dict[str, list[dict[str, object]]] = {}
        self.requests: list[tuple[dict[str, str], dict[str, list[str]]]] = []
        self.hold = threading.Event()
        self.delay_s = 0.0
        self.asked: Callable[[int, list[str]], None] = lambda port, product_ids: None
        self._closing = threading.Event()
        self._server = self._listen(0)

    @property
    def url(self) -> str:
        """For PRICING_FEED_URL."""
        return f"http://127.0.0.1:{self._port}/quotes"

    def go_away(self) -> None:
        """Refuse connections from now on."""
        self._server.shutdown()
        self._server.server_close()

    def come_back(self) -> None:
        """Listen on the same port again."""
        self._server = self._listen(self._port)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections within the block, and listen again after it."""
        self.go_away()
        try:
            yield
        finally:
            self.come_back()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take requests within the block without answering them."""
        self.hold.set()
        try:
            yield
        finally:
            self.hold.clear()

    def close(self) -> None:
        """Let go of what is held, and stop."""
        self._closing.set()
        self.go_away()

    def _listen(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        feed = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["content-length"]))
                if not sent:  # its sender was killed
                    return
                asked = json.loads(sent)
                feed.requests.append((dict(self.headers.items()), asked))
                feed.asked(self.client_address[1], asked["product_ids"])
                feed._closing.wait(feed.delay_s)
                while feed.hold.is_set() and not feed._closing.wait(0.02):
                    pass
                quotes = [quote for product_id in asked["product_ids"] for quote in feed.quotes.get(product_id, [])]
                body = json.dumps({"quotes": quotes}).encode()
                with suppress(ConnectionError):  # who was held may have given up
                    self.send_response(200)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the parent's name
                """Say nothing."""

        return Handler
