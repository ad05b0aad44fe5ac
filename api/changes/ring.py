"""The newest entries of the log, bounded; and events, encoded once for all clients that want the same."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from shared.changes import entries
from shared.changes.entries import Entry, Wanted

MOST_ENTRIES, MOST_BYTES = 10_000, 16_000_000
# An encoded event is about twice as long as its data.
ENCODED = 3
RETRY = b"retry: 1000\n\n"


class Ring:
    """The newest entries in memory.

    Attributes:
        start: It has every entry behind this id.
        last: The id of its newest entry, or `start`.
    """

    def __init__(self, start: int = 0) -> None:
        self.start = self.last = start
        self._entries: deque[Entry] = deque()
        self._ids: deque[int] = deque()
        self._bytes = 0
        self._encoded: dict[tuple[int, Wanted], bytes] = {}

    def add(self, fresh: Sequence[Entry]) -> None:
        """Add the entries behind `last`; the oldest ones make room."""
        for entry in fresh:
            self._entries.append(entry)
            self._ids.append(entry.change_id)
            self._bytes += len(entry.data) * ENCODED
            self.last = entry.change_id
        while self._entries and (len(self._entries) > MOST_ENTRIES or self._bytes > MOST_BYTES):
            oldest = self._entries.popleft()
            self._ids.popleft()
            self._bytes -= len(oldest.data) * ENCODED
            self.start = oldest.change_id
        self._encoded = {key: text for key, text in self._encoded.items() if key[0] > self.start}

    def knows(self, change_id: int) -> bool:
        """Whether a reader of this entry misses none if it goes on with the entries held here."""
        at = bisect_right(self._ids, change_id)
        return change_id == self.last or (at > 0 and self._ids[at - 1] == change_id)

    def after(self, change_id: int) -> Iterator[Entry]:
        """The entries behind an id that is not before `start`."""
        return islice(self._entries, bisect_right(self._ids, change_id), None)

    def encoded(self, entry: Entry, wanted: Wanted) -> bytes:
        """The event of an entry as bytes of a stream; empty where the client does not want it.

        The events of clients that want every product are kept with the entry.
        """
        if not wanted.is_everything:
            return encoded(entry, wanted)
        key = entry.change_id, wanted
        text = self._encoded.get(key)
        if text is None:
            text = encoded(entry, wanted)
            if entry.change_id > self.start:
                self._encoded[key] = text
        return text


def encoded(entry: Entry, wanted: Wanted) -> bytes:
    """The event of an entry as bytes of a stream; empty where the client does not want it."""
    event = entries.event(entry, wanted)
    if event is None:
        return b""
    return b"event: %b\ndata: %b\nid: %d\n\n" % (entry.type.encode(), entries.encoded(event), entry.change_id)


def heartbeat(position: int) -> bytes:
    """A message without data: it only tells the client how far it has read."""
    return b": alive\nid: %d\n\n" % position


def ending(reason: str) -> bytes:
    """The last message of a stream that the server ends."""
    return b'event: end\ndata: {"reason": "%b"}\n\n' % reason.encode()
