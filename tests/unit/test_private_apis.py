"""Canaries: each test names a part of a library that the library does not promise to keep, and its user here.

One that fails after `just lock` tells what changed before anything else does.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name, q_name, xq_name
from litestar._openapi.schema_generation import SchemaCreator, openapi_schema_plugins
from litestar.openapi.spec import Reference
from litestar.typing import FieldDefinition

from api.http import openapi
from api.http.bodies import StrictBody
from shared.messaging import broker
from shared.messaging.queue_metrics import STATES
from shared.pricing.query import PriceQuery
from shared.telemetry import logs
from shared.telemetry.metrics import HTTP_DURATION, observe_requests

# Below all buckets, in the middle, at a bound, above all.
SECONDS = [0.0001, 0.02, 0.025, 99.0]


def printed(script: str, **environ: object) -> list[str]:
    """The words that a Python process of its own prints: some parts are read once, at import."""
    env = os.environ | {name: str(value) for name, value in environ.items()}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_litestars_schema_creator_documents_the_bodies_of_api_http_bodies() -> None:
    creator = SchemaCreator(plugins=openapi_schema_plugins)
    documented = StrictBody.create_openapi_schema(FieldDefinition.from_annotation(PriceQuery), "handler", creator)
    assert isinstance(documented, Reference)
    assert documented.ref.endswith("PriceQuery")


def test_flask_swagger_uis_dist_folder_has_the_files_of_version_5_for_api_http_openapi() -> None:
    names = {path.name for path in openapi.swagger_ui().iterdir()}
    assert {
        "swagger-ui-bundle.js",
        "swagger-ui-standalone-preset.js",
        "swagger-ui.css",
        "favicon-32x32.png",
    } <= names
    assert (openapi.swagger_ui() / "VERSION").read_text().startswith("v5.")


def test_prometheus_clients_histogram_takes_many_seconds_at_once_from_observe_requests() -> None:
    observe_requests("GET", "/canary/ours", 200, "", SECONDS)
    for seconds in SECONDS:
        HTTP_DURATION.labels("GET", "/canary/theirs", 200, "").observe(seconds)
    assert series("/canary/ours") == series("/canary/theirs") != {}
    for route in ("/canary/ours", "/canary/theirs"):
        HTTP_DURATION.remove("GET", route, "200", "")


def series(route: str) -> Mapping[tuple[str, str | None], float]:
    return {
        (sample.name, sample.labels.get("le")): sample.value
        for family in HTTP_DURATION.collect()
        for sample in family.samples
        if sample.labels["route"] == route and not sample.name.endswith("_created")
    }


def test_prometheus_clients_value_class_asks_shared_telemetry_metrics_for_the_process_id(tmp_path: Path) -> None:
    script = "from shared.telemetry import metrics as m; m._process['id'] = 4711; m.STALE_WRITES.inc()"
    printed(script, PROMETHEUS_MULTIPROC_DIR=tmp_path)
    assert (tmp_path / "counter_4711.db").exists()


def test_prometheus_clients_files_of_gauges_tell_the_process_id_to_shared_telemetry_exposition(tmp_path: Path) -> None:
    script = (
        "import os, pathlib; from shared.telemetry import exposition, metrics\n"
        "def counted(): return 'pricing_processes{' in exposition.exposition().decode()\n"
        "metrics.PROCESSES.labels('service', 'version').set(1); print(counted())\n"
        "[gauge] = pathlib.Path(os.environ['PROMETHEUS_MULTIPROC_DIR']).glob('gauge_livesum_*.db')\n"
        "gauge.rename(gauge.with_stem(f'gauge_livesum_{2**22 + 1}')); print(counted())"
    )
    assert printed(script, PROMETHEUS_MULTIPROC_DIR=tmp_path) == ["True", "False"]


class LosesReplies(redis.Redis):
    """Answers how large Lua's stack is, and loses the reply to every command of the broker's."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[list[Any]] = []

    def register_script(self, script: Any) -> Any:
        """What runs a script; nothing is connected."""

        def run(args: list[Any] | None = None, keys: list[Any] | None = None) -> int:
            if args is None:
                return 8000
            self.sent.append(args)
            raise redis.TimeoutError("the reply was lost")

        return run


def test_dramatiqs_dispatch_sends_the_name_that_shared_messaging_broker_takes_anew_after_a_lost_fetch() -> None:
    client = LosesReplies()
    sender: Any = broker.create(client)
    first = sender.broker_id
    for send in (sender.do_fetch, sender.do_ack):
        with pytest.raises(redis.ConnectionError, match="lost"):
            send("queue", "argument")
    assert [args[0] for args in client.sent] == ["fetch", "ack"]
    assert first in client.sent[0]
    assert first not in client.sent[1]
    assert sender.broker_id in client.sent[1]


def test_dramatiqs_consumer_on_redis_has_what_shared_messaging_polling_reads_and_sets() -> None:
    untyped: Any = RedisBroker
    consumer = untyped(client=LosesReplies()).consume("queue", prefetch=3)
    assert (consumer.outstanding_message_count, consumer.prefetch, consumer.misses) == (0, 3, 0)


def test_dramatiqs_names_of_queues_are_those_that_shared_messaging_queue_metrics_counts() -> None:
    states = {"due": q_name("events"), "delayed": dq_name("events"), "dead": xq_name("events")}
    assert states == {state: f"events{suffix}" for state, suffix in STATES.items()}


def test_dramatiqs_variable_for_idle_workers_is_the_one_that_workers_main_sets() -> None:
    assert printed("from dramatiq import worker; print(worker.WORKER_TIMEOUT)", dramatiq_worker_timeout=50) == ["50"]


def test_the_loggers_that_shared_telemetry_logs_quietens_are_the_libraries_own() -> None:
    script = (
        "import alembic.runtime.migration, dramatiq_abort, httpx, logging, opentelemetry.sdk.trace, psycopg_pool\n"
        "from dramatiq import Worker; from dramatiq.brokers.stub import StubBroker\n"
        "from dramatiq.middleware import Retries; from dramatiq_abort.backends import StubBackend\n"
        "Retries(), dramatiq_abort.Abortable(backend=StubBackend())\n"
        "worker = Worker(StubBroker(), worker_threads=1, worker_timeout=10); worker.start(); worker.stop()\n"
        "print(*logging.root.manager.loggerDict)"
    )
    assert set(logs.QUIET) - set(printed(script)) == set()
