"""Who is looked at in a turn. A thousand clients that wait cost a turn nothing."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar

Client = TypeVar("Client")


class Agenda(Generic[Client]):
    """The clients of a process: those with something to take, by the time of their next look, and the others.

    Attributes:
        resting: Those that have everything. A new entry wakes them.
    """

    def __init__(self) -> None:
        self.resting: set[Client] = set()
        self._waiting: list[tuple[float, int, Client]] = []
        self._numbers = count()

    def look_at(self, client: Client, at: float) -> None:
        """Look at a client that is on no list in the first turn after this time."""
        heapq.heappush(self._waiting, (at, next(self._numbers), client))

    def rest(self, client: Client) -> None:
        """Look at a client that is on no list when it is woken."""
        self.resting.add(client)

    def wake(self, clients: set[Client]) -> None:
        """Look at some of those that rest, in the next turn."""
        self.resting -= clients
        for client in clients:
            self.look_at(client, float("-inf"))

    def due(self, now: float) -> Iterator[Client]:
        """Take the clients whose time is before now."""
        while self._waiting and self._waiting[0][0] < now:
            yield heapq.heappop(self._waiting)[2]
