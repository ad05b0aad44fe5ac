"""The running stack as a test uses it: over HTTP, and over its own PostgreSQL and Redis."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import httpx
import psycopg
import redis
from psycopg.rows import DictRow, dict_row

from shared.addresses import PRIMARY, sentinels_of
from shared.jobs.tasks import ENDED
from shared.messaging import clients
from shared.settings import Settings
from tests.support.waiting import eventually


class Engine:
    """A client of one running stack.

    Attributes:
        http: Sends the admin key with every request.
        anonymous: Sends no key.
    """

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home, self.settings = home, settings
        self.key = (home / "admin.key").read_text().strip()
        url = f"http://127.0.0.1:{settings.port}"
        self.http = httpx.Client(base_url=url, headers=self.authorized, timeout=30)
        self.anonymous = httpx.Client(base_url=url, timeout=30)
        is_behind = sentinels_of(settings.redis_url)
        self.redis = (
            clients.client(settings.redis_url, "tests") if is_behind else redis.Redis.from_url(settings.redis_url)
        )

    def close(self) -> None:
        """Close the clients."""
        self.http.close()
        self.anonymous.close()
        self.redis.close()

    @property
    def authorized(self) -> dict[str, str]:
        """The header with the admin key."""
        return {"authorization": f"Bearer {self.key}"}

    def sql(self, query: str, *values: object) -> list[DictRow]:
        """Ask PostgreSQL."""
        with psycopg.Connection[DictRow].connect(
            self.settings.database_url, row_factory=dict_row, target_session_attrs=PRIMARY
        ) as conn:
            cursor = conn.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def price(self, product_id: str, **query: object) -> dict[str, Any]:
        """A price that is expected to be there."""
        response = self.anonymous.post("/api/v1/price", json={"product_id": product_id, **query})
        assert response.status_code == 200, response.text
        return cast(dict[str, Any], response.json())

    def forget(self, *product_ids: str) -> None:
        """Drop products from Redis, as an eviction would."""
        self.redis.delete(*(f"pricing:sheet:{product_id}" for product_id in product_ids))

    def put_product(self, **fields: object) -> dict[str, Any]:
        """Write a product of the test's own; a new id unless it is given. Answers what it wrote."""
        product = {"product_id": f"T-{uuid4().hex[:12]}", "name": "Test", "currency": "USD", "base_price": "100.00"}
        product |= cast(dict[str, str], fields)
        path = f"/api/v1/products/{quote(product['product_id'], safe='')}"
        response = self.http.put(path, json=product)
        assert response.status_code == 200, response.text
        return product

    def publish(self, type_: str, data: dict[str, object], **more: object) -> dict[str, Any]:
        """Publish an event over HTTP; the answer."""
        body = {"type": type_, "data": data, **more}
        response = self.http.post("/api/v1/publish-market-event", json=body)
        assert response.status_code == 200, response.text
        return cast(dict[str, Any], response.json())

    def broadcast(self, type_: str, data: dict[str, object], **attributes: object) -> str:
        """Publish a CloudEvent as another service does, with nothing but Redis; its id, a new one unless given."""
        event: dict[str, object] = {"specversion": "1.0", "id": str(uuid4()), "source": "elsewhere"}
        event |= {"type": type_, "data": data} | attributes
        self.redis.publish("market_events", json.dumps(event))
        return str(event["id"])

    def settled(self, event_id: str) -> dict[str, Any]:
        """The event once it is settled."""

        def look() -> dict[str, Any] | None:
            response = self.http.get(f"/api/v1/market-events/{event_id}")
            event = cast(dict[str, Any], response.json())
            return event if response.status_code == 200 and event["status"] != "received" else None

        return eventually(look, f"event {event_id} settled")

    def recalculate(self, **product_set: object) -> str:
        """Ask for a recalculation; the task's id."""
        response = self.http.post("/api/v1/recalculate", json=product_set)
        assert response.status_code == 200, response.text
        return str(response.json()["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        """A task as it stands."""
        response = self.http.get(f"/api/v1/tasks/{task_id}")
        assert response.status_code == 200, response.text
        return cast(dict[str, Any], response.json())

    def ended(self, task_id: str) -> dict[str, Any]:
        """The task once it has ended."""

        def look() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["status"] in ENDED else None

        return eventually(look, f"task {task_id} ended")

    @contextmanager
    def locked(self, product_id: str) -> Iterator[None]:
        """Hold a product's row within the block: whoever decides its price waits, for up to 30 s."""
        with psycopg.connect(self.settings.database_url) as conn:
            conn.execute("SELECT 1 FROM products WHERE product_id = %s FOR UPDATE", [product_id])
            yield

    def history(self, product_id: str) -> list[dict[str, Any]]:
        """A product's price history, newest first."""
        response = self.http.get(f"/api/v1/products/{product_id}/price-history")
        return cast(list[dict[str, Any]], response.json()["changes"])

    def log_lines(self, service: str, trace_id: str) -> list[str]:
        """A service's log lines of one trace."""
        text = (self.home / "logs" / f"{service}.log").read_text()
        return [line for line in text.splitlines() if trace_id in line]
