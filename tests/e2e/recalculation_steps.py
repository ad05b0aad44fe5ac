"""Steps of the tests about recalculations: products, quotes of the feed, tasks on their way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from shared.jobs.tasks import ENDED
from tests.support.engine import Engine
from tests.support.feed import FakeFeed
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1: what is published is what is asked


def a_product(engine: Engine, **fields: object) -> str:
    """A product that follows its competitors, from a list price of 100."""
    return str(engine.put_product(strategy="match", **fields)["product_id"])


def knows(feed: FakeFeed, product_id: str, price: str) -> None:
    """The feed has a competitor's price for the product from now on."""
    quote: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": price, "currency": "USD"}
    feed.quotes[product_id] = [quote]


def asked(engine: Engine, product_id: str) -> str:
    return str(engine.price(product_id, user_location=HERE)["final_price"])


def abort(engine: Engine, task_id: str) -> int:
    return engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized).status_code


def reaches(engine: Engine, task_id: str, status: str, attempts: int = 0) -> dict[str, Any]:
    """The task once it has this status after at least so many attempts; fails when it ends otherwise."""

    def look() -> dict[str, Any] | None:
        task = engine.task(task_id)
        if task["status"] == status and task["attempts"] >= attempts:
            return task
        assert task["status"] not in ENDED, task
        return None

    return eventually(look, f"task {task_id} {status} after {attempts} attempts")


def no_message_is_left(engine: Engine) -> None:
    """Every message was taken and done with, delayed ones too: what has not run until now never will."""
    with redis.Redis.from_url(engine.settings.redis_for("broker")) as queue:
        hashes = ("pricing:dramatiq:tasks.msgs", "pricing:dramatiq:tasks.DQ.msgs")
        eventually(lambda: not any(queue.hlen(name) for name in hashes), "no message is left")


@contextmanager
def a_busy_run(engine: Engine) -> Iterator[str]:
    """A recalculation that is running for as long as the block lasts: one of its products is locked."""
    product_id = a_product(engine)
    with engine.locked(product_id):
        task_id = engine.recalculate(product_ids=[product_id])
        reaches(engine, task_id, "running")
        yield task_id
