"""A wrong address of PostgreSQL: no process is ever ready, and each one stays alive."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy import ports
from tests.support.engine import Engine
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
PORTS = {"workers": "PRICING_WORKER_METRICS_PORT", "listener": "PRICING_LISTENER_METRICS_PORT", "api": "PRICING_PORT"}


@pytest.fixture
def addresses(engine: Engine, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Each program's address; they reach the engine's Redis, and nothing at PostgreSQL's port."""
    chosen = {variable: str(ports.free_port()) for variable in PORTS.values()}
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))},
        **chosen,
        "PRICING_HOME": str(tmp_path),
        "PRICING_DATABASE_URL": f"postgresql://pricing@127.0.0.1:{ports.free_port()}/pricing",
        "PRICING_REDIS_URL": engine.settings.redis_url,
        # The engine's own queues are left to it.
        "PRICING_BROKER_URL": engine.settings.redis_url.rpartition("/")[0] + "/7",
        "PRICING_API_PROCESSES": "1",
        "PRICING_WORKER_PROCESSES": "1",
        "OTEL_TRACES_EXPORTER": "none",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for module in PORTS
    ]
    yield {module: f"http://127.0.0.1:{chosen[variable]}" for module, variable in PORTS.items()}
    for process in started:
        process.terminate()
    for process in started:
        process.wait(30)


def answer(address: str, path: str) -> tuple[int, dict[str, Any]]:
    try:
        found = httpx.get(f"{address}{path}", trust_env=False, timeout=10)
    except httpx.TransportError:
        return 0, {}
    return found.status_code, found.json()


def test_with_a_wrong_database_every_process_is_alive_and_none_is_ready(addresses: dict[str, str]) -> None:
    def polls(module: str, loop: str) -> bool:
        loops = answer(addresses[module], "/health/ready")[1].get("loops", {})
        return loops.get(loop, {}).get("succeeded_s_ago") is not None

    # Redis is reached: the processes are past their start.
    eventually(lambda: polls("workers", "events"), "the workers poll the queues")
    eventually(lambda: polls("listener", "channel"), "the listener reads the channel")
    eventually(lambda: answer(addresses["api"], "/health/live")[0] == 200, "the API answers")
    for address in addresses.values():
        assert answer(address, "/health/live")[0] == 200
        assert answer(address, "/health/ready")[0] == 503
    for module, loop in (("workers", "clock"), ("listener", "work")):
        assert answer(addresses[module], "/health/ready")[1]["loops"][loop]["succeeded_s_ago"] is None
