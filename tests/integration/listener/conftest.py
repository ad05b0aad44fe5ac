"""A listener's parts, with queues that tests look into."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import redis

from shared.messaging.messages import Enqueuer
from shared.telemetry import propagation
from tests.integration.catalogue_examples import new_id

Message = Callable[..., bytes]


class Queues(Enqueuer):
    """Keeps what is enqueued, and the trace of each message; fails as often as a test wants."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.traces: list[str] = []
        self.delays_ms: list[int] = []
        self.failures = 0

    def products(self, product_ids: Sequence[str], delay_ms: int = 0) -> None:
        self._keep(list(product_ids), delay_ms)

    def market(self, code: str, delay_ms: int = 0) -> None:
        self._keep(f"#{code}", delay_ms)

    def task(self, kind: str, task_id: UUID) -> None:
        self._keep(task_id)

    def _keep(self, sent: Any, delay_ms: int = 0) -> None:
        if self.failures:
            self.failures -= 1
            raise redis.ConnectionError("the queue is away")
        self.sent.append(sent)
        self.delays_ms.append(delay_ms)
        self.traces.append(propagation.trace_id(propagation.current()["traceparent"]))

    def times(self, product_id: str) -> int:
        """In how many messages a product is."""
        return sum(product_id in sent for sent in self.sent if isinstance(sent, list))


@pytest.fixture
def queues() -> Queues:
    return Queues()


@pytest.fixture
def message() -> Message:
    """Makes messages as any Redis client publishes them."""

    def message(type_: str = "demand_changed", data: dict[str, Any] | None = None, **fields: Any) -> bytes:
        event = {"specversion": "1.0", "id": str(uuid4()), "source": "elsewhere", "type": type_} | fields
        return msgspec.json.encode(event | {"data": data or demand(new_id())})

    return message


def demand(product_id: str) -> dict[str, str]:
    return {"product_id": product_id, "index": "1.1"}
