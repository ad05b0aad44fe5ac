"""What has arrived at a client of the stream and at a webhook, and when."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import httpx

from tests.support.engine import Engine
from tests.support.event_stream import opened
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Receiver


class Arrival(NamedTuple):
    """A change, and the time of its arrival, by `time.time`."""

    at: float
    change: dict[str, Any]


class Arrivals:
    """What two subscribers of all changes have received, in their order."""

    def __init__(self, receiver: Receiver) -> None:
        self._stream: list[Arrival] = []
        self._webhook: list[Arrival] = []
        self._receiver, self._read = receiver, 0

    @property
    def by_subscriber(self) -> dict[str, list[Arrival]]:
        """The arrivals of each."""
        calls = self._receiver.calls[self._read :]
        self._read += len(calls)
        self._webhook += [Arrival(call.at, change) for call in calls for change in call.content["data"]]
        return {"stream": list(self._stream), "webhook": list(self._webhook)}

    def add(self, change: dict[str, Any]) -> None:
        """Note a change that has just come over the stream."""
        self._stream.append(Arrival(time.time(), change))

    def first(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, float]:
        """When a change reached each of them, once it has reached both."""

        def look() -> dict[str, float] | None:
            found = {
                name: next((one.at for one in reversed(arrivals) if is_it(one.change)), 0.0)
                for name, arrivals in self.by_subscriber.items()
            }
            return found if all(found.values()) else None

        return eventually(look, "both subscribers have the change")


@contextmanager
def watching(engine: Engine) -> Iterator[Arrivals]:
    """A client of the stream and a webhook, until the block ends."""
    with closing(Receiver()) as receiver:
        arrivals = Arrivals(receiver)
        body = {"url": receiver.url(), "types": ["prices", "window"]}
        answer = engine.http.put("/api/v1/webhooks/bench", json=body)
        answer.raise_for_status()
        stop = threading.Event()
        with (
            httpx.Client(base_url=engine.http.base_url, headers=engine.authorized) as client,
            opened(client, type=["prices", "window"]) as stream,
        ):

            def listen() -> None:
                for event in stream:
                    if stop.is_set():
                        return
                    if event.data is not None:
                        arrivals.add(event.data)

            thread = threading.Thread(target=listen, daemon=True)
            thread.start()
            yield arrivals
            stop.set()
            engine.put_product()  # the last event, which ends the thread
            thread.join(timeout=30)
