"""Health is read from heartbeats alone: a stuck loop is not live, a failing one is not ready."""

import threading
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deploy import ports
from shared.telemetry import heartbeats, metrics_server
from shared.telemetry.exposition import CachedCollector
from shared.telemetry.heartbeats import LIVE_S, READY_S, Beat, Health
from shared.telemetry.metrics import LOOP_SUCCEEDED, LOOP_TURNED

# Loops of other tests have turned after it.
NOW = 1_000_000.0
NEVER = "never-succeeded"


def beats(loop: str, turned_ago: float, succeeded_ago: float | None) -> None:
    LOOP_TURNED.labels(loop).set(NOW - turned_ago)
    if succeeded_ago is not None:
        LOOP_SUCCEEDED.labels(loop).set(NOW - succeeded_ago)


@pytest.mark.parametrize(
    ("turned_ago", "succeeded_ago", "is_live", "is_ready"),
    [
        (0, 0, True, True),
        (LIVE_S - 1, READY_S - 1, True, True),
        (1, READY_S, True, False),
        (LIVE_S, 0, False, False),
        (-50, -50, True, True),  # the clock was set back
    ],
)
def test_a_loop_that_turns_is_live_and_one_that_succeeds_is_ready(
    turned_ago: float, succeeded_ago: float, is_live: bool, is_ready: bool
) -> None:
    beats("one", turned_ago, succeeded_ago)
    found = heartbeats.health(["one"], NOW)
    assert (found.is_live, found.is_ready) == (is_live, is_ready)
    beats("one", 0, 0)


def test_a_loop_that_has_never_succeeded_is_live_and_not_ready() -> None:
    beats(NEVER, 1, None)
    found = heartbeats.health([NEVER], NOW)
    assert (found.is_live, found.is_ready) == (True, False)
    assert found.loops[NEVER] == Beat(1.0, None)


def test_a_turn_that_raises_has_turned_and_not_succeeded() -> None:
    with pytest.raises(ValueError, match="away"), heartbeats.turn("raising"):
        raise ValueError("away")
    assert heartbeats.health(["raising"]).loops["raising"].succeeded_s_ago is None


def test_the_server_answers_probes_by_status_and_serves_the_metrics() -> None:
    found = [Health(is_live=True, is_ready=False, loops={"work": Beat(0.5, None)})]
    port = ports.free_port()
    server = metrics_server.start("127.0.0.1", port, lambda: found[0])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            live, ready = http.get("/health/live"), http.get("/health/ready")
            assert (live.status_code, live.json()["status"]) == (200, "live")
            assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
            assert ready.json()["loops"] == {"work": {"turned_s_ago": 0.5, "succeeded_s_ago": None}}
            found[0] = Health(is_live=False, is_ready=False, loops={})
            assert http.get("/health/live").status_code == 503
            assert "pricing_loop_turn_timestamp_seconds" in http.get("/metrics").text
    finally:
        server.shutdown()
        server.server_close()


class Slow(Collector):
    """Figures of a server that does not answer until it is released."""

    def __init__(self) -> None:
        self.released, self.reads = threading.Event(), 0

    def collect(self) -> Iterator[Metric]:
        self.reads += 1
        assert self.released.wait(30)
        yield GaugeMetricFamily("figure", "a figure", value=self.reads)


def values(collector: CachedCollector) -> list[float]:
    return [sample.value for family in collector.collect() for sample in family.samples]


def test_a_scrape_does_not_wait_for_a_server_and_asks_it_once() -> None:
    slow = Slow()
    scrape = CachedCollector(slow, max_age_s=1000, max_wait_s=0.01)
    assert [values(scrape) for _ in range(3)] == [[], [], []]
    slow.released.set()
    patient = CachedCollector(slow, max_age_s=0, max_wait_s=30)
    assert [values(patient), values(patient)] == [[2.0], [3.0]]
