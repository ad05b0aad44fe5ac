"""The logs of a running stack: one JSON document a line, nothing secret, no line for a request that went well."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.engine import Engine

SERVICES = ("api", "listener", "worker")


def lines(engine: Engine, service: str) -> list[str]:
    return (engine.home / "logs" / f"{service}.log").read_text().splitlines()


def test_every_line_is_json_with_time_level_service_and_event(engine: Engine) -> None:
    engine.settled(engine.publish("demand_changed", {"product_id": "P-100", "index": 1.0})["event_id"])
    for service in SERVICES:
        for line in lines(engine, service):
            record = json.loads(line)
            assert {"timestamp", "level", "service", "event"} <= record.keys(), line
            assert record["service"] == f"pricing-{service}"


def test_no_secret_is_in_any_log(engine: Engine) -> None:
    engine.http.post("/api/v1/recalculate", headers={"authorization": "Bearer not-the-key-but-secret"})
    known = engine.settings
    passwords = [urlsplit(url).password for url in (known.database_url, known.redis_url)]
    for secret in (engine.key, "not-the-key-but-secret", *passwords):
        assert secret
        for path in (engine.home / "logs").glob("*.log"):
            assert secret not in path.read_text(errors="replace"), path.name


def test_no_secret_is_on_a_command_line(engine: Engine) -> None:
    passwords = [urlsplit(url).password for url in (engine.settings.database_url, engine.settings.redis_url)]
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert any(b"workers" in command for command in commands)
    for secret in (engine.key, *passwords):
        assert secret
        assert not [command for command in commands if secret.encode() in command]


def test_a_price_query_that_goes_well_leaves_no_line(engine: Engine) -> None:
    before = len(lines(engine, "api"))
    answer = engine.http.post("/api/v1/price", json={"product_id": "P-100"})
    # What is said of a request is said before its answer.
    assert answer.status_code == 200
    assert [line for line in lines(engine, "api")[before:] if "/api/v1/price" in line] == []


def test_who_serves_works_and_listens_says_so(engine: Engine) -> None:
    said = {json.loads(line)["event"] for service in SERVICES for line in lines(engine, service)}
    assert {"serving", "working", "listening"} <= said
