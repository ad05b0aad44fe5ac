"""A steady stream of price queries: open-loop, on kept connections, each answer noted."""

import http.client
import json
import threading
import time
from dataclasses import dataclass
from random import Random

TIMEOUT_S = 10.0
HEADERS = {"content-type": "application/json"}


@dataclass(frozen=True)
class Read:
    """One price query.

    Attributes:
        at: When it was sent, by the monotonic clock, in seconds.
        ended: When it was answered, or failed.
        connection: Which connection it went over; a new number after each failure.
        status: 0 where there was no answer.
        version: Of the price that was answered; 0 where none was.
        error: Why there was no answer, or no price in it.
    """

    at: float
    ended: float
    connection: int
    product_id: str
    status: int
    version: int = 0
    error: str = ""


class Reader:
    """Asks for prices at a fixed rate, whatever the answers: a late answer delays no other connection's query.

    Attributes:
        reads: What was asked and answered so far.
        product_ids: What is asked for.
        connections: How many connections are kept.
    """

    def __init__(self, port: int, product_ids: list[str], rng: Random, per_s: float = 40, connections: int = 4) -> None:
        self.reads: list[Read] = []
        self._port, self.product_ids, self.connections = port, product_ids, connections
        self._stop = threading.Event()
        self._connections = 0
        self._interval_s = connections / per_s
        seeds = [rng.random() for _ in range(connections)]
        self._threads = [threading.Thread(target=self._connection, args=(Random(seed),), daemon=True) for seed in seeds]

    def __enter__(self) -> "Reader":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2 * TIMEOUT_S)

    def _connection(self, rng: Random) -> None:
        due = time.monotonic() + rng.random() * self._interval_s
        http_client = self._connect()
        # What is late is sent at once: the rate stays what it is.
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._interval_s
            read = self._ask(*http_client, rng.choice(self.product_ids))
            self.reads.append(read)
            if not read.status:
                http_client[1].close()
                http_client = self._connect()
        http_client[1].close()

    def _connect(self) -> tuple[int, http.client.HTTPConnection]:
        self._connections += 1
        return self._connections, http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)

    def _ask(self, number: int, connection: http.client.HTTPConnection, product_id: str) -> Read:
        at = time.monotonic()
        try:
            connection.request("POST", "/api/v1/price", json.dumps({"product_id": product_id}), HEADERS)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            return Read(at, time.monotonic(), number, product_id, 0, error=f"{type(error).__name__}: {error}")
        ended = time.monotonic()
        if response.status != 200:
            return Read(at, ended, number, product_id, response.status, error=body.decode(errors="replace"))
        return Read(at, ended, number, product_id, response.status, json.loads(body)["version"])
