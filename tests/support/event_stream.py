"""A client of server-sent events, as the specification of HTML has them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx


class Received(NamedTuple):
    """One event: its type, id and data. A message with an id alone has no data."""

    type: str
    id: int | None
    data: Any


class EventStream:
    """The events of a stream, one after the other."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[Received]:
        """All messages until the server ends the stream."""
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif not line:
                if {"id", "data"} & fields.keys():
                    data = json.loads(fields["data"]) if "data" in fields else None
                    yield Received(fields.get("event", ""), int(fields["id"]) if "id" in fields else None, data)
                fields = {}

    def until(self, last_id: int) -> Iterator[Received]:
        """The events with data up to and including an id."""
        for event in self:
            if event.data is not None:
                yield event
            if event.id == last_id:
                return

    def next(self) -> Received:
        """The next event with data."""
        return next(event for event in self if event.data is not None)


@contextmanager
def opened(client: httpx.Client, **query: Any) -> Iterator[EventStream]:
    """Open the stream of changes; it is open when this returns.

    Raises:
        AssertionError: the server refuses.
    """
    headers = {"last-event-id": str(query.pop("last_event_id"))} if "last_event_id" in query else {}
    with client.stream("GET", "/api/v1/price-changes", params=query, headers=headers, timeout=60) as response:
        assert response.status_code == 200, response.read()
        yield EventStream(response)
