"""The common judgement: what the stack shows after a case, held against what was asked of it."""

import time
from collections.abc import Iterator, Mapping
from decimal import Decimal

import httpx
import psycopg
import redis

from tests.chaos import judge
from tests.chaos.context import Context, is_whole
from tests.chaos.judge import Change, Published
from tests.chaos.watch import queued, unacknowledged

SETTLED_WITHIN_S = 60.0
POLL_S = 0.25
HERE = "CHI"  # its multiplier is 1: what is published is what is asked


def of(context: Context) -> list[str]:
    """What is wrong, once all that may still happen has had a minute to do so; nothing: the case is passed."""
    for traffic in context.traffics:
        traffic.stop()
    wrong = settled(context)
    reads = list(context.reader.reads)
    return [
        *wrong,
        *(error for traffic in context.traffics for error in traffic.errors),
        *judge.failed_reads(reads, context.windows),
        *judge.versions_backwards(reads[: context.restored_from]),
        *judge.versions_backwards(reads[context.restored_to :]),
        *context.watch.verdict(),
        *([] if reads and context.traffic.accepted else ["nothing was read, or no update accepted"]),
    ]


def settled(context: Context, within_s: float = SETTLED_WITHIN_S) -> list[str]:
    """What is still not as it should be when the time is over; returns as soon as all is."""
    end = time.monotonic() + within_s
    awaited = ""
    while (line := next(_wrong(context), "")) and time.monotonic() < end:
        if line.partition(":")[0] != awaited.partition(":")[0]:
            context.say(f"not yet: {line}")
        awaited = line
        time.sleep(POLL_S)
    return list(_wrong(context)) if line else []


def _wrong(context: Context) -> Iterator[str]:
    for check in (_whole, _events, _served, _prices, _history, stale_sheets, _tasks, _queues):
        try:
            yield from check(context)
        except (httpx.HTTPError, psycopg.Error, redis.RedisError, OSError) as error:
            yield f"{check.__name__.lstrip('_')} cannot be seen: {error!r}"


def _whole(context: Context) -> list[str]:
    return [] if is_whole(context.environment) else ["the stack is not whole and ready again"]


def _events(context: Context) -> list[str]:
    rows = context.environment.engine.sql("SELECT id, status FROM market_events")
    statuses = {row["id"]: row["status"] for row in rows}
    others = {id_: f"{statuses.get(id_)} for {wanted}" for id_, wanted in context.expected_events.items()}
    return [
        *judge.unsettled_events([id_ for traffic in context.traffics for id_ in traffic.accepted], statuses),
        *(f"event {id_}: {text}" for id_, text in others.items() if statuses.get(id_) != context.expected_events[id_]),
        *judge.shortened("events still wait", [id_ for id_, status in statuses.items() if status == "received"]),
    ]


def _served(context: Context) -> list[str]:
    """The last values, as any process of the API answers them."""
    url = f"{context.environment.engine.http.base_url}/api/v1/prices"
    items = [{"product_id": product_id, "user_location": HERE} for product_id in context.last]
    answers: list[dict[str, Mapping[str, str]]] = []
    for _ in range(4):  # new connections, so that any process may answer
        try:
            answers += httpx.post(url, json={"items": items}, trust_env=False, timeout=10).json()["items"]
        except (httpx.HTTPError, KeyError) as error:
            return [f"the API does not answer: {error!r}"]
    wrong = []
    for start in range(0, len(answers), len(items) or 1):
        found = {a["price"]["product_id"]: Decimal(a["price"]["final_price"]) for a in answers[start:][: len(items)]}
        wrong += judge.wrong_prices("prices served are", context.last, found)
    return wrong[:1]


def _prices(context: Context) -> list[str]:
    rows = context.environment.engine.sql("SELECT product_id, published_price FROM prices")
    expected = dict.fromkeys(context.catalogue.plain, context.plain_price) | context.last
    return judge.wrong_prices("published prices are", expected, {r["product_id"]: r["published_price"] for r in rows})


def _history(context: Context) -> list[str]:
    columns = ", ".join(Change.__dataclass_fields__)
    changes = [Change(**row) for row in context.environment.engine.sql(f"SELECT {columns} FROM price_history")]
    published = {entry.product_id: entry for entry in _published(context)}
    return [*judge.history(changes, published), *judge.overlapping_runs(changes)]


def stale_sheets(context: Context) -> list[str]:
    """What is cached in Redis, would be served, and is not the published sheet."""
    return judge.stale_sheets(_published(context))


def _tasks(context: Context) -> list[str]:
    rows = context.environment.engine.sql("SELECT task_id, status FROM tasks WHERE status IN ('queued', 'running')")
    return judge.shortened("tasks not ended", [f"{row['task_id']}: {row['status']}" for row in rows])


def _queues(context: Context) -> list[str]:
    found = {key: size for key, size in queued(context.environment.broker).items() if not key.endswith(".XQ.msgs")}
    return [
        *(f"{size} messages left in {key}" for key, size in found.items() if size),
        *judge.shortened("messages unacknowledged", unacknowledged(context.environment.broker)),
    ]


def _published(context: Context) -> list[Published]:
    columns = "product_id, version, published_price AS price, sheet, current_epoch() AS epoch"
    rows = context.environment.engine.sql(f"SELECT {columns} FROM prices")
    entries = context.environment.cached(row["product_id"] for row in rows)
    return [Published(**row, cached=entries[row["product_id"]]) for row in rows]
