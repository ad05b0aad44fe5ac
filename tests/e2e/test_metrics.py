"""The metrics of a running stack: exact over several processes, without ghosts, and of all that waits."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared import VERSION
from tests.support import private_stack, promtool
from tests.support.private_stack import PrivateStack
from tests.support.processes import is_alive
from tests.support.waiting import eventually

API_PROCESSES = 4
REQUESTS = 400
PRICES = {"method": "POST", "route": "/api/v1/price", "status": "200"}
API_PROCESS = {"service": "pricing-api", "version": VERSION}


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateStack]:
    with private_stack.running(PRICING_API_PROCESSES=str(API_PROCESSES)) as private:
        yield private


def scraped(private: PrivateStack, group: str) -> str:
    known = private.engine.settings
    port = {"api": known.port, "worker": known.worker_metrics_port, "listener": known.listener_metrics_port}[group]
    # A connection of its own, so that any of the processes may answer.
    return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).raise_for_status().text


def value(private: PrivateStack, group: str, name: str, **labels: str) -> float:
    """The sum over all samples of a name that have these labels; 0 where there is none."""
    # Only these lines: the reader of the whole text takes longer than the scrape.
    lines = [line for line in scraped(private, group).splitlines() if line.startswith(name)]
    families = text_string_to_metric_families("\n".join(lines))
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def shows(private: PrivateStack, name: str, expected: float) -> bool:
    return value(private, "listener", name) == expected


def served(private: PrivateStack) -> float:
    return value(private, "api", "http_request_duration_seconds_count", **PRICES)


def ask(private: PrivateStack, count: int) -> None:
    """Price queries over connections of their own."""
    for _ in range(count):
        with closing(HTTPConnection("127.0.0.1", private.engine.settings.port, timeout=30)) as http:
            http.request("POST", "/api/v1/price", '{"product_id": "P-100"}', {"content-type": "application/json"})
            assert http.getresponse().status == 200


def counted(private: PrivateStack, expected: float) -> None:
    # A request is counted after its answer has been sent.
    eventually(lambda: served(private) >= expected, f"{expected} requests counted")
    assert {served(private) for _ in range(3 * API_PROCESSES)} == {expected}


def all_live(private: PrivateStack) -> bool:
    return value(private, "api", "pricing_processes", **API_PROCESS) == API_PROCESSES


def test_requests_are_counted_exactly_and_outlive_the_process_that_counted_them(private: PrivateStack) -> None:
    # The stack is ready as soon as one of them answers.
    eventually(lambda: all_live(private), "every API process is up")
    before = served(private)
    ask(private, REQUESTS)
    counted(private, before + REQUESTS)

    victim = private.processes.family("api")[1]
    victim.kill()
    # Until then it is given connections.
    eventually(lambda: not is_alive(victim), "the killed one is gone")
    # Neither a moment without the dead one's requests, nor one with more processes than there are.
    for seen in (served(private) for _ in range(3 * API_PROCESSES)):
        assert seen == before + REQUESTS
    assert value(private, "api", "pricing_processes", **API_PROCESS) <= API_PROCESSES
    eventually(lambda: all_live(private), "the dead one's successor")
    folder: Path = private.engine.home / "metrics" / "api"
    assert not list(folder.glob(f"gauge_live*_{victim.pid}.db"))
    ask(private, REQUESTS)
    counted(private, before + 2 * REQUESTS)


@pytest.mark.parametrize("group", ["api", "worker", "listener"])
def test_promtool_finds_nothing_wrong_with_the_metrics(private: PrivateStack, group: str) -> None:
    ask(private, 1)
    assert promtool.run("check", "metrics", text=scraped(private, group)) == ""


def test_what_waits_can_be_seen_and_that_it_is_gone(private: PrivateStack) -> None:
    product_id = str(private.engine.put_product(strategy="match")["product_id"])
    competitor: dict[str, object] = {
        "product_id": product_id,
        "competitor": "acme",
        "price": "95.00",
        "currency": "USD",
    }
    lags = value(private, "worker", "pricing_event_lag_seconds_count")
    with private.engine.locked(product_id):
        published = private.engine.publish("competitor_price_changed", competitor)
        eventually(lambda: value(private, "listener", "pricing_queue_depth", queue="events") == 1, "it is seen to wait")
        eventually(lambda: value(private, "listener", "pricing_queue_oldest_age_seconds", queue="events"), "its age")
    assert private.engine.settled(published["event_id"])["status"] == "applied"
    eventually(lambda: value(private, "listener", "pricing_queue_depth", queue="events") == 0, "nothing waits")
    assert value(private, "listener", "pricing_queue_oldest_age_seconds", queue="events") == 0
    eventually(lambda: value(private, "worker", "pricing_event_lag_seconds_count") == lags + 1, "its lag is observed")
    assert value(private, "worker", "pricing_queue_wait_seconds_count", queue="events") >= 1
    name = "pricing_job_duration_seconds_count"
    eventually(lambda: value(private, "worker", name, actor="reprice_products") >= 1, "its message has ended")


def test_what_was_given_up_is_counted_over_restarts(private: PrivateStack) -> None:
    before = value(private, "listener", "pricing_dead_letters", queue="tasks")
    private.engine.sql(
        "INSERT INTO tasks (task_id, kind, product_set, status, finished_at)"
        " VALUES (gen_random_uuid(), 'cache_sync', '{}', 'failed', clock_timestamp())"
    )
    eventually(lambda: value(private, "listener", "pricing_dead_letters", queue="tasks") == before + 1, "one more")
    assert value(private, "listener", "pricing_dead_letters", queue="events") == 0
    private.engine.sql("DELETE FROM tasks WHERE status = 'failed'")


def test_the_last_run_says_how_long_it_took_and_how_much_it_did(private: PrivateStack) -> None:
    product_id = str(private.engine.put_product()["product_id"])
    task = private.engine.ended(private.engine.recalculate(product_ids=[product_id]))
    assert task["status"] == "succeeded"
    eventually(lambda: value(private, "listener", "pricing_last_run_products") == 1, "the run is seen")
    assert 0 < value(private, "listener", "pricing_last_run_duration_seconds") < 60


def test_the_link_and_the_servers_are_seen_to_be_up_and_away(private: PrivateStack) -> None:
    up = ("pricing_market_events_subscription_up", "pricing_redis_up", "pricing_postgres_up")
    assert [value(private, "listener", name) for name in up] == [1, 1, 1]
    assert value(private, "listener", "pricing_sweep_timestamp_seconds") > 0
    with private.processes.stopped("redis"):
        for name in up[:2]:
            eventually(partial(shows, private, name, 0), f"{name} is seen to be 0")
        assert value(private, "listener", "pricing_postgres_up") == 1
        # One can still see what waits: PostgreSQL has it.
        assert "pricing_queue_depth" in scraped(private, "listener")
    for name in up:
        eventually(partial(shows, private, name, 1), f"{name} is seen to be 1")
    assert value(private, "listener", "pricing_market_events_subscription_losses_total") == 1


def status_of(private: PrivateStack) -> tuple[int, str]:
    """`just status` of this stack: its exit code and what it printed."""
    command = [sys.executable, "-m", "deploy.native", "status"]
    environ = os.environ | {"PRICING_HOME": str(private.engine.home), "COLUMNS": "120"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_status_shows_servers_processes_and_queues(private: PrivateStack) -> None:
    code, text = status_of(private)
    assert code == 0, text
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if line.startswith("│")}
    assert f"│ {VERSION} " in rows["prices"]
    assert {"postgres", "redis", "events", "tasks"} <= rows.keys()
    assert f"│ {API_PROCESSES} " in rows["api processes"]
    with private.processes.stopped("redis"):
        code, text = status_of(private)
        assert code == 1
        assert "degraded" in text
        assert "down" in text
    eventually(lambda: status_of(private)[0] == 0, "Redis is back")


def test_what_dashboards_and_alerts_ask_for_is_there(private: PrivateStack) -> None:
    # The last test of the file: some of it is there only once something has gone wrong.
    product_id = str(private.engine.put_product(strategy="match")["product_id"])
    private.engine.broadcast("demand_changed", {"product_id": product_id, "index": 1.2})
    eventually(lambda: value(private, "listener", "pricing_events_received_total"), "an event over the channel")
    private.engine.sql("INSERT INTO imports VALUES (clock_timestamp(), 1, 0, 0, 0)")
    folder = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
    texts = [path.read_text() for path in (folder / "alerts.yml", *(folder / "dashboards").glob("*.json"))]
    wanted = set(re.findall(r"\b((?:pricing|http_request)_[a-z_]+)\b(?=[\[{ )])", "\n".join(texts)))
    assert len(wanted) > 20
    # The listener's look at its servers may be some seconds old.
    eventually(lambda: wanted <= served_names(private), f"all of {sorted(wanted)} in /metrics")


def served_names(private: PrivateStack) -> set[str]:
    lines = "\n".join(scraped(private, group) for group in ("api", "worker", "listener"))
    return set(re.findall(r"^(\w+)[{ ]", lines, re.MULTILINE))
