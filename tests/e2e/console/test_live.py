"""The overview's stream: it brings what changes, and ends with its session."""

from collections.abc import Iterator
from typing import Any

import httpx

from shared.access import keys
from shared.postgres import pools
from tests.e2e.console.browsing import key_with, visitor
from tests.support.engine import Engine

PATH = "/console/live"


def events(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    """The events of a stream: name and data."""
    event: dict[str, Any] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name:
            event[name] = event[name] + value if name in event else value
        elif "event" in event:
            yield event["event"], event["data"]
            event = {}


def test_the_stream_brings_what_changes_and_ends_with_its_key(engine: Engine) -> None:
    key_id, key = key_with(engine, "catalogue:read")
    product = engine.put_product()["product_id"]
    body = {"reason": "seen in the stream", "product_ids": [product]}
    with visitor(engine) as person:
        person.sign_in(key)
        with person.http.stream("GET", PATH) as answer:
            coming = events(answer)
            assert "seen in the stream" not in next(coming)[1]
            assert engine.http.post("/api/v1/automation/pause", json=body).status_code == 200
            try:
                assert any("seen in the stream" in data for _, data in coming)
                with pools.connect(engine.settings, "tests") as conn:
                    keys.revoke(conn, key_id)
                assert [name for name, _ in coming][-1] == "end"
            finally:
                engine.http.post("/api/v1/automation/resume", json=body)
        with person.http.stream("GET", PATH) as answer:
            assert list(events(answer)) == [("end", "session")]
