"""A webhook of a test's own, and the changes that it wants."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import msgspec

from shared.changes import entries, log, webhooks
from shared.changes.entries import ChangeType
from shared.changes.webhooks import Endpoint, WebhookView
from shared.postgres.pools import Pool
from tests.support.webhook_receiver import Receiver
from workers.jobs import webhooks as job
from workers.services import Services


class Hook:
    """A webhook of the test's own, for products of a category of its own, and the clock that is passed in."""

    def __init__(self, services: Services, receiver: Receiver, *types: ChangeType) -> None:
        self.services, self.pool = services, services.pool
        self.id, self.category, self.at = f"h-{uuid4().hex[:8]}", f"c-{uuid4().hex[:8]}", datetime.now(UTC)
        endpoint = Endpoint(url=receiver.url("hook.test"), types=types or ("prices",), category=self.category)
        given(self.pool)
        with self.pool.connection() as conn:
            self.secret = webhooks.put(conn, self.id, endpoint, "tests") or ""

    def append(self, count: int = 1, category: str | None = None) -> list[int]:
        """Changes that it wants; their ids."""
        item = entries.PriceItem("P-1", 1, "EUR", None, Decimal(1), category or self.category)
        first = given(self.pool)
        for _ in range(count):
            with self.pool.connection() as conn:
                log.append_prices(conn, msgspec.json.encode(item) + b"\n")
        return list(range(first + 1, given(self.pool) + 1))

    def deliver(self, services: Services | None = None) -> None:
        job.deliver(services or self.services, self.id, lambda conn: self.at)

    def view(self) -> WebhookView:
        with self.pool.connection() as conn:
            return webhooks.view(conn, self.id)

    def waits(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def given(pool: Pool) -> int:
    while True:
        with pool.connection() as conn:
            if not log.give_ids(conn):
                return log.position(conn).last
