"""The common judgement: what the stack shows after a case, held against what was asked of it."""

import time
from collections.abc import Iterator, Mapping
from decimal import Decimal

import httpx
import psycopg
import redis

from tests.chaos import judge
from tests.chaos.judge import Change, Published
from tests.chaos.scene import Scene, is_whole
from tests.chaos.watch import queued, unacknowledged

SETTLED_WITHIN_S = 60.0
POLL_S = 0.25
HERE = "CHI"  # its multiplier is 1: what is published is what is asked
BATCH = 500


def of(scene: Scene) -> list[str]:
    """What is wrong, once all that may still happen has had a minute to do so; nothing: the case is passed."""
    for traffic in scene.traffics:
        traffic.stop()
    wrong = settled(scene)
    reads = list(scene.reader.reads)
    return [
        *wrong,
        *(error for traffic in scene.traffics for error in traffic.errors),
        *judge.failed_reads(reads, scene.windows),
        *judge.versions_backwards(reads),
        *scene.watch.verdict(),
        *([] if reads and scene.traffic.accepted else ["nothing was read, or no update accepted"]),
    ]


def settled(scene: Scene, within_s: float = SETTLED_WITHIN_S) -> list[str]:
    """What is still not as it should be when the time is over; returns as soon as all is."""
    end = time.monotonic() + within_s
    awaited = ""
    while (line := next(_wrong(scene), "")) and time.monotonic() < end:
        if line.partition(":")[0] != awaited.partition(":")[0]:
            scene.say(f"not yet: {line}")
        awaited = line
        time.sleep(POLL_S)
    return list(_wrong(scene)) if line else []


def _wrong(scene: Scene) -> Iterator[str]:
    for check in (_whole, _events, _served, _prices, _history, _sheets, _tasks, _queues):
        try:
            yield from check(scene)
        except (httpx.HTTPError, psycopg.Error, redis.RedisError, OSError) as error:
            yield f"{check.__name__[1:]} cannot be seen: {error!r}"


def _whole(scene: Scene) -> list[str]:
    return [] if is_whole(scene.stage) else ["the stack is not whole and ready again"]


def _events(scene: Scene) -> list[str]:
    rows = scene.stage.engine.sql("SELECT id, status FROM market_events")
    statuses = {row["id"]: row["status"] for row in rows}
    others = {id_: f"{statuses.get(id_)} for {wanted}" for id_, wanted in scene.expected_events.items()}
    return [
        *judge.unsettled_events([id_ for traffic in scene.traffics for id_ in traffic.accepted], statuses),
        *(f"event {id_}: {text}" for id_, text in others.items() if statuses.get(id_) != scene.expected_events[id_]),
        *judge.shortened("events still wait", [id_ for id_, status in statuses.items() if status == "received"]),
    ]


def _served(scene: Scene) -> list[str]:
    """The last values, as any process of the API answers them."""
    url = f"{scene.stage.engine.http.base_url}/api/v1/prices"
    items = [{"product_id": product_id, "user_location": HERE} for product_id in scene.last]
    answers: list[dict[str, Mapping[str, str]]] = []
    for _ in range(4):  # new connections, so that any process may answer
        try:
            answers += httpx.post(url, json={"items": items}, trust_env=False, timeout=10).json()["items"]
        except (httpx.HTTPError, KeyError) as error:
            return [f"the API does not answer: {error!r}"]
    wrong = []
    for start in range(0, len(answers), len(items) or 1):
        found = {a["price"]["product_id"]: Decimal(a["price"]["final_price"]) for a in answers[start:][: len(items)]}
        wrong += judge.wrong_prices("prices served are", scene.last, found)
    return wrong[:1]


def _prices(scene: Scene) -> list[str]:
    rows = scene.stage.engine.sql("SELECT product_id, published_price FROM prices")
    expected = dict.fromkeys(scene.catalogue.plain, scene.plain_price) | scene.last
    return judge.wrong_prices("published prices are", expected, {r["product_id"]: r["published_price"] for r in rows})


def _history(scene: Scene) -> list[str]:
    columns = ", ".join(Change.__dataclass_fields__)
    changes = [Change(**row) for row in scene.stage.engine.sql(f"SELECT {columns} FROM price_history")]
    published = {entry.product_id: entry for entry in _published(scene)}
    return [*judge.history(changes, published), *judge.overlapping_runs(changes)]


def _sheets(scene: Scene) -> list[str]:
    return judge.stale_sheets(_published(scene))


def _tasks(scene: Scene) -> list[str]:
    rows = scene.stage.engine.sql("SELECT task_id, status FROM tasks WHERE status IN ('queued', 'running')")
    return judge.shortened("tasks not ended", [f"{row['task_id']}: {row['status']}" for row in rows])


def _queues(scene: Scene) -> list[str]:
    found = {key: size for key, size in queued(scene.stage.broker).items() if not key.endswith(".XQ.msgs")}
    return [
        *(f"{size} messages left in {key}" for key, size in found.items() if size),
        *judge.shortened("messages unacknowledged", unacknowledged(scene.stage.broker)),
    ]


def _published(scene: Scene) -> list[Published]:
    rows = scene.stage.engine.sql("SELECT product_id, version, published_price AS price, sheet FROM prices")
    cached: list[str | None] = []
    for start in range(0, len(rows), BATCH):
        keys = [f"pricing:sheet:{row['product_id']}" for row in rows[start : start + BATCH]]
        cached += [_text(value) for value in scene.stage.engine.redis.mget(keys)]
    return [Published(**row, cached=value) for row, value in zip(rows, cached, strict=True)]


def _text(value: bytes | str | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
