"""Windows open and close by themselves: under load, no answer is on the wrong side of an edge."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from tests.support.engine import Engine
from tests.support.waiting import eventually

PRODUCT = "P-102"
CALLERS = 4
QUERY = {"product_id": PRODUCT, "channel": "window-test"}


class Seen(NamedTuple):
    """An answer, with the times just before its request and just after it."""

    sent: datetime
    received: datetime
    answer: dict[str, Any]


@pytest.fixture
def promotion(engine: Engine) -> Iterator[str]:
    """A name for a promotion, which is deleted at the end."""
    name = f"t-{uuid4().hex[:10]}"
    yield f"/api/v1/promotions/{name}"
    engine.http.delete(f"/api/v1/promotions/{name}", headers=engine.authorized)


def put(engine: Engine, path: str, **window: Any) -> None:
    conditions = [{"attribute": "channel", "eq": QUERY["channel"]}]
    body = {"id": path.rpartition("/")[2], "percent": 50, "conditions": conditions, **window}
    response = engine.http.put(path, json=body, headers=engine.authorized)
    assert response.status_code == 200, response.text


def ask(engine: Engine, **more: Any) -> dict[str, Any]:
    response = engine.http.post("/api/v1/price", json={**QUERY, **more}, headers=engine.authorized)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_window_under_load_opens_and_closes_at_its_instants(engine: Engine, promotion: str) -> None:
    opens = datetime.now(UTC) + timedelta(seconds=8)
    closes = opens + timedelta(seconds=3)
    put(engine, promotion, **{"from": opens.isoformat(), "until": closes.isoformat()})
    eventually(lambda: ask(engine)["valid_until"] is not None, "the processes have the promotion")
    stop = threading.Event()

    def call() -> list[Seen]:
        seen = []
        while not stop.is_set():
            sent = datetime.now(UTC)
            answer = ask(engine)
            seen.append(Seen(sent, datetime.now(UTC), answer))
        return seen

    with ThreadPoolExecutor(CALLERS) as callers:
        calls = [callers.submit(call) for _ in range(CALLERS)]
        eventually(lambda: datetime.now(UTC) > closes + timedelta(seconds=1), "the window is over")
        stop.set()
        seen = [one for future in calls for one in future.result()]
    before = [one.answer for one in seen if one.received < opens]
    within = [one.answer for one in seen if opens <= one.sent and one.received < closes]
    after = [one.answer for one in seen if one.sent >= closes]
    assert {len(before) > 0, len(within) > 0, len(after) > 0} == {True}
    assert {bool(one.get("promotions")) for one in before + after} == {False}
    assert {bool(one.get("promotions")) for one in within} == {True}
    assert {one["source"] for one in within + after} == {"cache"}


def test_a_window_in_a_zone_ends_with_the_hour_that_is_there_twice(engine: Engine, promotion: str) -> None:
    """In Berlin, 02:30 comes twice on 31 October 2027; an end at an ambiguous time is the later one."""
    put(engine, promotion, **{"from": "2027-10-31T00:00:00", "until": "2027-10-31T02:30:00", "zone": "Europe/Berlin"})
    eventually(lambda: ask(engine, at="2027-10-30T22:00:00Z").get("promotions"), "the processes have the promotion")
    fits = {
        at: bool(ask(engine, at=at).get("promotions"))
        for at in ("2027-10-30T21:59:59Z", "2027-10-31T00:30:00Z", "2027-10-31T01:29:59Z", "2027-10-31T01:30:00Z")
    }
    assert list(fits.values()) == [False, True, True, False]


def test_every_process_quotes_by_a_new_rulebook_within_moments(engine: Engine, promotion: str) -> None:
    put(engine, promotion)
    # New connections reach all processes.
    headers = {"connection": "close"}

    def all_have_it() -> bool:
        answers = [engine.anonymous.post("/api/v1/price", json=QUERY, headers=headers).json() for _ in range(20)]
        return all(answer.get("promotions") for answer in answers)

    eventually(all_have_it, "every process has the promotion")
