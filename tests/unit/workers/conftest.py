"""A worker's services without servers, and the order in which they are closed."""

import threading
from contextlib import ExitStack
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from shared.settings import Settings
from workers.services import Claim, Services


class Closable:
    """Stands for a client: connects to nothing, and notes when it is closed."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self._name, self._closed = name, closed

    def close(self) -> None:
        self._closed.append(self._name)

    def register_script(self, script: str) -> None:
        """As Redis' client, of which the aborts' store wants its scripts."""


@pytest.fixture
def closed() -> list[str]:
    """The services that were closed, in that order."""
    return []


@pytest.fixture
def services(closed: list[str]) -> Services:
    unused: Any = None
    clients: dict[str, Any] = {name: Closable(name, closed) for name in ("pool", "cache", "events", "queue", "feed")}
    return Services(
        settings=Settings(drain_timeout_s=7),
        tracing=TracerProvider(),
        writer=unused,
        lock=unused,
        claim=Claim(),
        enqueue=unused,
        proposals=unused,
        partition_slots=threading.BoundedSemaphore(),
        webhook_sender=unused,
        webhook_slots=threading.BoundedSemaphore(),
        stopping=threading.Event(),
        watches=ExitStack(),
        **clients,
    )
