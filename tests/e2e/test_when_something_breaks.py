"""What dies comes back, and what is away is done without: kills, stops, losses, corrupt entries.

Each test leaves the stack whole and ready.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.support.engine import Engine
from tests.support.processes import Processes, is_alive
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1: what is published is what is asked


@pytest.fixture
def processes(engine: Engine) -> Processes:
    return Processes(engine.home)


@pytest.fixture(autouse=True)
def whole_again(engine: Engine) -> Iterator[None]:
    """Whatever a test broke works again when it is over."""
    yield
    eventually(lambda: readiness(engine) == (200, "ready"), "the stack is ready again")


def get_or_none(engine: Engine, method: str, path: str, **more: Any) -> httpx.Response | None:
    """An answer over a new connection, so that any of the API's processes may give it; None without one."""
    try:
        return httpx.request(method, f"{engine.http.base_url}{path}", timeout=30, trust_env=False, **more)
    except httpx.TransportError:
        return None


def post(engine: Engine, path: str, body: object) -> httpx.Response:
    response = get_or_none(engine, "POST", path, json=body, headers=engine.authorized)
    assert response is not None, f"no answer to {path}"
    return response


def readiness(engine: Engine) -> tuple[int, str]:
    response = get_or_none(engine, "GET", "/health/ready")
    return (0, "no answer") if response is None else (response.status_code, response.json()["status"])


def price(engine: Engine, product_id: str) -> httpx.Response:
    return post(engine, "/api/v1/price", {"product_id": product_id, "user_location": HERE})


def a_rival(product_id: str, amount: str = "95.00") -> dict[str, object]:
    return {"product_id": product_id, "competitor": "acme", "price": amount, "currency": "USD"}


def an_event(product_id: str, amount: str = "95.00") -> dict[str, object]:
    return {"type": "competitor_price_changed", "data": a_rival(product_id, amount), "event_id": str(uuid4())}


def is_served(engine: Engine, product_id: str, amount: str) -> None:
    """The price is answered, once the API is there to do so."""

    def look() -> bool:
        body = {"product_id": product_id, "user_location": HERE}
        response = get_or_none(engine, "POST", "/api/v1/price", json=body)
        return response is not None and response.status_code == 200 and response.json()["final_price"] == amount

    eventually(look, f"{product_id} is served at {amount}")


def is_applied(engine: Engine, event: dict[str, object]) -> None:
    """The event is accepted, once somebody is there to do so, and applied."""

    def publish() -> bool:
        path = "/api/v1/publish-market-event"
        response = get_or_none(engine, "POST", path, json=event, headers=engine.authorized)
        return response is not None and response.status_code == 200

    eventually(publish, "the event is accepted")

    def look() -> str | None:
        response = get_or_none(engine, "GET", f"/api/v1/market-events/{event['event_id']}")
        status = response.json().get("status") if response is not None else "received"
        return None if status in {"received", 503} else str(status)

    assert eventually(look, f"event {event['event_id']} settled") == "applied"


@pytest.mark.parametrize(
    ("program", "member"),
    [
        pytest.param("api", 0, id="api-master"),
        pytest.param("api", 1, id="api-worker"),
        pytest.param("worker", 0, id="worker-master"),
        pytest.param("worker", 1, id="worker-process"),
        pytest.param("worker", -1, id="worker-metrics"),
        pytest.param("listener", 0, id="listener"),
        pytest.param("redis", 0, id="redis"),
        pytest.param("postgres", 0, id="postgres"),
    ],
)
def test_a_killed_process_comes_back_and_the_stack_serves_on(
    engine: Engine, processes: Processes, program: str, member: int
) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    assert price(engine, product_id).json()["final_price"] == "100.00"
    family = processes.family(program)
    family[member].kill()

    # Without its master no process of a group stays; without a member the group is made whole.
    gone = family if member == 0 else [family[member]]
    eventually(lambda: not any(map(is_alive, gone)), "the killed ones are gone")
    if program != "postgres":  # whose number of processes is that of its connections
        eventually(lambda: processes.runs(program, len(family)), f"{program} is whole again", 30)
    is_served(engine, product_id, "100.00")
    is_applied(engine, an_event(product_id))
    is_served(engine, product_id, "95.00")
    eventually(lambda: not processes.strays(), "no process is left without its master")


def test_a_worker_that_is_killed_while_it_starts_is_replaced(engine: Engine, processes: Processes) -> None:
    family = processes.family("worker")
    family[0].kill()

    def starting() -> list[psutil.Process] | None:
        with suppress(psutil.NoSuchProcess):
            found = processes.family("worker")
            return found if len(found) == len(family) and found[0] != family[0] else None
        return None

    # Its workers are there, and have not yet imported what they run.
    victim = eventually(starting, "the next one's workers")[1]
    victim.kill()
    eventually(lambda: not is_alive(victim), "the killed one is gone")
    eventually(lambda: processes.runs("worker", len(family)), "worker is whole again", 20)
    product_id = str(engine.put_product(strategy="match")["product_id"])
    is_applied(engine, an_event(product_id))


def test_without_redis_prices_come_from_the_database_and_events_wait(engine: Engine, processes: Processes) -> None:
    products = [str(engine.put_product(strategy="match")["product_id"]) for _ in range(3)]
    for product_id in products:
        engine.price(product_id)
    changed = products[0]
    event = an_event(changed)
    with processes.stopped("redis"):
        answers = [price(engine, product_id) for product_id in products * 7]
        assert {answer.status_code for answer in answers} == {200}
        # Each process holds what it read for a second by itself.
        assert "database" in {answer.json()["source"] for answer in answers}
        ready = get_or_none(engine, "GET", "/health/ready")
        assert ready is not None
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        states = {name: seen["status"] for name, seen in ready.json()["dependencies"].items()}
        assert states == {"postgres": "up", "redis": "down"}

        published = post(engine, "/api/v1/publish-market-event", event)
        assert (published.status_code, published.json()["status"]) == (200, "stored")
        again = post(engine, "/api/v1/publish-market-event", event)
        assert (again.status_code, again.json()["status"]) == (200, "duplicate")
        queued = post(engine, "/api/v1/recalculate", {"product_ids": products})
        assert queued.status_code == 200
        # A write by the API has its new price at once: what answers now is the database.
        written = {"product_id": products[1], "name": "Test", "currency": "USD", "base_price": "120.00"}
        put = get_or_none(engine, "PUT", f"/api/v1/products/{products[1]}", json=written, headers=engine.authorized)
        assert put is not None
        assert put.status_code == 200
        is_served(engine, products[1], "120.00")

    assert engine.settled(str(event["event_id"]))["status"] == "applied"
    assert engine.ended(queued.json()["task_id"])["status"] == "succeeded"
    is_served(engine, changed, "95.00")
    is_served(engine, products[1], "120.00")
    eventually(lambda: price(engine, changed).json()["source"] == "cache", "the price is cached again")


def test_after_a_flush_prices_are_answered_and_cached_again(engine: Engine) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    assert [price(engine, product_id).json()["source"] for _ in range(2)] == ["database", "cache"]
    engine.redis.flushall()
    eventually(lambda: price(engine, product_id).json()["source"] == "database", "no process holds it by itself")
    eventually(lambda: engine.redis.exists(f"pricing:sheet:{product_id}"), "Redis has it again")
    is_applied(engine, an_event(product_id))
    is_served(engine, product_id, "95.00")


def test_a_run_whose_redis_is_flushed_in_its_middle_ends_well(engine: Engine) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    with engine.locked(product_id):
        task_id = engine.recalculate(product_ids=[product_id])
        eventually(lambda: engine.task(task_id)["status"] == "running", "the run is under way")
        engine.redis.flushall()
    assert engine.ended(task_id)["status"] == "succeeded"


def test_without_postgres_what_is_cached_is_answered_and_the_rest_is_refused(
    engine: Engine, processes: Processes
) -> None:
    cached, uncached = (str(engine.put_product(strategy="match")["product_id"]) for _ in range(2))
    # Every process of the API has answered once, and knows the markets.
    assert {price(engine, cached).status_code for _ in range(40)} == {200}
    event = an_event(cached)
    with processes.stopped("postgres"):
        for _ in range(6):
            answer = price(engine, cached)
            assert (answer.status_code, answer.json().get("source")) == (200, "cache"), answer.text
        ready = get_or_none(engine, "GET", "/health/ready")
        assert ready is not None
        states = {name: seen["status"] for name, seen in ready.json()["dependencies"].items()}
        assert states == {"postgres": "down", "redis": "up"}
        product = {"product_id": cached, "name": "Test", "currency": "USD", "base_price": "100.00"}
        refused = {
            "an uncached price": price(engine, uncached),
            "an event": post(engine, "/api/v1/publish-market-event", event),
            "a recalculation": post(engine, "/api/v1/recalculate", {"product_ids": [cached]}),
            "a product": get_or_none(
                engine, "PUT", f"/api/v1/products/{cached}", json=product, headers=engine.authorized
            ),
            "a task": get_or_none(engine, "GET", f"/api/v1/tasks/{uuid4()}"),
        }
        for what, response in refused.items():
            assert response is not None, what
            assert response.status_code == 503, (what, response.text)
            assert response.headers["content-type"] == "application/problem+json", what
            assert int(response.headers["retry-after"]) > 0, what
            assert response.json()["status"] == 503, what
        both = post(engine, "/api/v1/prices", {"items": [{"product_id": cached}]})
        assert "price" in both.json()["items"][0]

    is_served(engine, uncached, "100.00")
    is_applied(engine, event)
    is_served(engine, cached, "95.00")


def corrupt_reads(engine: Engine) -> float:
    """How many cached entries did not decode so far, over all processes of the API."""
    for line in engine.http.get("/metrics").text.splitlines():
        if line.startswith('pricing_cache_reads_total{result="corrupt"}'):
            return float(line.split()[-1])
    return 0.0


CORRUPT: dict[str, Callable[[bytes], bytes]] = {
    "not-json": lambda entry: b"garbage",
    "empty": lambda entry: b"",
    "binary": lambda entry: b"\xff\xfe\x00" + entry,
    "truncated": lambda entry: entry[:-5],
    "no-version": lambda entry: entry.partition(b"|")[2],
    "other-version": lambda entry: b"7|" + entry.partition(b"|")[2],
    "another-shape": lambda entry: b"1|[]",
    "huge-version": lambda entry: b"9" * 30 + b"|garbage",
    "nan-price": lambda entry: entry.replace(b'"published_price":"100.00"', b'"published_price":"NaN"').replace(
        b'"published_price":"100"', b'"published_price":"NaN"'
    ),
}


@pytest.mark.parametrize("what", CORRUPT)
def test_a_corrupt_cache_entry_is_counted_and_healed(engine: Engine, what: str) -> None:
    product_id = str(engine.put_product()["product_id"])
    expected = price(engine, product_id).json()["final_price"]
    key = f"pricing:sheet:{product_id}"
    entry = engine.redis.get(key)
    assert isinstance(entry, bytes)
    corrupt = CORRUPT[what](entry)
    assert corrupt != entry
    before = corrupt_reads(engine)
    engine.redis.set(key, corrupt, ex=600)

    # Each process holds what it read for a second by itself; then it asks Redis again.
    answers: list[httpx.Response] = []

    def is_found() -> bool:
        answers.append(price(engine, product_id))
        return corrupt_reads(engine) > before

    eventually(is_found, "the entry is read")
    assert {(answer.status_code, answer.json()["final_price"]) for answer in answers} == {(200, expected)}
    eventually(lambda: engine.redis.get(key) == entry, "the entry is healed")


def test_an_event_is_applied_over_a_corrupt_entry(engine: Engine) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    engine.redis.set(f"pricing:sheet:{product_id}", b"9" * 30 + b"|garbage", ex=600)
    is_applied(engine, an_event(product_id))
    is_served(engine, product_id, "95.00")
    eventually(lambda: price(engine, product_id).json()["source"] == "cache", "it is cached")


@pytest.mark.parametrize("reader", ["a-query", "an-event"])
def test_a_key_of_another_redis_type_is_healed(engine: Engine, reader: str) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    key = f"pricing:sheet:{product_id}"
    engine.redis.delete(key)
    engine.redis.rpush(key, "not", "a", "sheet")
    if reader == "an-event":
        is_applied(engine, an_event(product_id, "100.00"))
    else:
        first = price(engine, product_id)
        assert (first.status_code, first.json().get("source")) == (200, "database"), first.text
    second = price(engine, product_id)
    assert (second.status_code, second.json().get("source")) == (200, "cache"), second.text
    assert second.json()["final_price"] == "100.00"
