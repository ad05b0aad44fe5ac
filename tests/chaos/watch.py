"""Looks at the queues while a case plays: what was fetched has to be acknowledged within a minute."""

import threading
import time
from collections.abc import Collection

import redis

from shared.messaging.broker import NAMESPACE
from tests.chaos.judge import UNACKNOWLEDGED_S, shortened

EVERY_S = 1.0


class Ages:
    """How long each of a changing set of things has been there without a break."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self.oldest_s: dict[str, float] = {}

    def look(self, present: Collection[str], now: float) -> None:
        """Note what is there now."""
        self._since = {name: self._since.get(name, now) for name in present}
        for name, since in self._since.items():
            self.oldest_s[name] = max(now - since, self.oldest_s.get(name, 0.0))

    def beyond(self, limit_s: float) -> list[str]:
        """What was there for longer."""
        return [f"{name} for {age:.0f} s" for name, age in self.oldest_s.items() if age > limit_s]


def unacknowledged(broker: redis.Redis) -> list[str]:
    """Messages that were fetched and not acknowledged, as `KEY ID`; Dramatiq has a set per worker and queue."""
    keys = sorted(broker.scan_iter(f"{NAMESPACE}:__acks__*", count=1_000))
    return [f"{key.decode()} {member.decode()}" for key in keys for member in broker.sscan_iter(key)]


def queued(broker: redis.Redis) -> dict[str, int]:
    """What is in the queues, the delayed and the dead-lettered messages included; empty where nothing is."""
    found = {key.decode(): broker.hlen(key) for key in broker.scan_iter(f"{NAMESPACE}:*.msgs", count=1_000)}
    return {key: int(size) for key, size in found.items()}


class Watch:
    """Looks every second while the block runs; where Redis does not answer, nothing is seen."""

    def __init__(self, broker: redis.Redis) -> None:
        self._broker, self._ages = broker, Ages()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def verdict(self) -> list[str]:
        """What was not acknowledged in time."""
        return shortened("messages unacknowledged for more than 60 s", self._ages.beyond(UNACKNOWLEDGED_S))

    def _look(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                present = unacknowledged(self._broker)
            except redis.RedisError:
                continue
            self._ages.look(present, time.monotonic())
