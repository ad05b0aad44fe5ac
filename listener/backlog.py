"""The backlog: messages of the channel that are not recorded yet, bounded in number and bytes."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from shared.telemetry.metrics import MESSAGES_REFUSED

MAX_MESSAGES = 250_000
MAX_BYTES = 64 << 20


class Backlog:
    """Messages in the order of their arrival; one thread adds, another one takes.

    A message beyond the limits is refused and counted. Events sent to the API are not lost then: the API records an
    event before it publishes it. A standby loses nothing when it drops its oldest: the active listener has them.

    Attributes:
        is_standby: Whether another listener records the messages.
    """

    def __init__(
        self,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_messages, self._max_bytes, self._monotonic = max_messages, max_bytes, monotonic
        self._messages: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self.is_standby = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """The number of messages that wait."""
        return len(self._messages)

    def add(self, messages: Sequence[bytes]) -> None:
        """Add messages as far as the limits allow and refuse the rest; a standby drops its oldest to make room."""
        with self._changed:
            now = self._monotonic()
            for number, message in enumerate(messages):
                while self.is_standby and self._messages and not self._has_room(message):
                    self._drop_first()
                if not self._has_room(message):
                    MESSAGES_REFUSED.inc(len(messages) - number)
                    break
                self._messages.append((now, message))
                self._bytes += len(message)
            self._changed.notify()

    def first(self, limit: int) -> list[bytes]:
        """The oldest messages; they remain until `drop`."""
        with self._changed:
            return [self._messages[index][1] for index in range(min(limit, len(self._messages)))]

    def drop(self, count: int) -> None:
        """Remove the oldest messages, which are recorded."""
        with self._changed:
            for _ in range(count):
                self._drop_first()

    def drop_older_than(self, age_s: float) -> None:
        """Remove messages that arrived longer ago than this."""
        with self._changed:
            until = self._monotonic() - age_s
            while self._messages and self._messages[0][0] < until:
                self._drop_first()

    def wait(self, timeout_s: float) -> None:
        """Wait until there is a message, or until the time is over."""
        with self._changed:
            if not self._messages:
                self._changed.wait(timeout_s)

    def wake(self) -> None:
        """End the current `wait`."""
        with self._changed:
            self._changed.notify()

    def _has_room(self, message: bytes) -> bool:
        return len(self._messages) < self._max_messages and self._bytes + len(message) <= self._max_bytes

    def _drop_first(self) -> None:
        self._bytes -= len(self._messages.popleft()[1])
