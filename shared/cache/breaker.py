"""A circuit breaker per server: after five failures in a row the server gets no calls for a second."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from circuitbreaker import CircuitBreaker

from shared.errors import DatabaseUnavailable, RedisUnavailable, translated
from shared.telemetry.metrics import BREAKER_OPEN

log = structlog.get_logger(__name__)

FAILURES = 5
OPEN_S = 1


class Breaker:
    """Guards the calls of one server."""

    def __init__(self, server: str, away: type[RedisUnavailable] | type[DatabaseUnavailable]) -> None:
        """A closed breaker.

        Args:
            server: `redis` or `database`, for the metrics.
            away: The error that is raised while the server is away.
        """
        self._away = away
        self._breaker = CircuitBreaker(FAILURES, OPEN_S, away, server)
        BREAKER_OPEN.labels(server).set(0)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Refuse while the breaker is open; otherwise count the block's failure or success.

        Raises:
            RedisUnavailable | DatabaseUnavailable: the breaker is open, or the server is away.
        """
        breaker = self._breaker
        if breaker.opened:
            raise self._away(f"{breaker.name} failed {breaker.failure_count} times, no calls for a second")
        was_closed = breaker.closed
        try:
            with breaker, translated():
                yield
        finally:
            if breaker.closed != was_closed:
                change = "calls to the server resumed" if breaker.closed else "no calls to the server for a second"
                log.warning(change, server=breaker.name)
                BREAKER_OPEN.labels(breaker.name).set(not breaker.closed)
