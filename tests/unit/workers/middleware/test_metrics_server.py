"""One port answers for all worker processes, and another process takes it over."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from deploy import ports
from tests.support.waiting import eventually

SCRIPT = """
import sys
from dramatiq.brokers.stub import StubBroker
from shared import settings
from shared.telemetry.metrics import TASKS_ENDED
from workers.middleware.metrics_server import MetricsServer
TASKS_ENDED.labels(sys.argv[1], "succeeded").inc()
MetricsServer(settings.load()).after_process_boot(StubBroker([]))
print("booted", flush=True)
sys.stdin.read()
"""
Starting = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def port() -> int:
    return ports.free_port()


@pytest.fixture
def start(port: int, tmp_path: Path) -> Iterator[Starting]:
    """Starts worker processes that count one job each, under a name of their own."""
    started: list[subprocess.Popen[str]] = []
    environ = os.environ | {
        "PRICING_HOME": str(tmp_path / "home"),
        "PRICING_WORKER_METRICS_PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }

    def start(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, name], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "booted\n"
        return process

    yield start
    for process in started:
        process.communicate()


def scraped(port: int) -> str:
    """The answer of the port; empty: there is none."""
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return ""


def test_the_process_with_the_port_answers_for_all_and_another_one_takes_over(port: int, start: Starting) -> None:
    first = start("first")
    eventually(lambda: 'actor="first"' in scraped(port), "the first process serves")
    start("second")
    eventually(lambda: 'actor="second"' in scraped(port), "the first process serves the figures of both")
    first.communicate()
    page = eventually(lambda: scraped(port), "the second process serves")
    assert 'actor="first"' in page
    assert 'actor="second"' in page
