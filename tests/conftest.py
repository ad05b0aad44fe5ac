"""Fixtures: real servers, started on free ports and stopped again; and the spans that this process ends."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased

from deploy import ports
from deploy.native import environment, stack
from shared import settings
from shared.settings import Settings
from shared.telemetry.tracing import RootSampler
from tests.support import unsynced
from tests.support.collector import Collector
from tests.support.engine import Engine
from tests.support.feed import FakeFeed

# Each worker of pytest-xdist has ports of its own, so that no two choose the same one.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
ports.avoid(port for port in ports.CHOICE if port % _WORKERS != _WORKER)


def _environ(**ours: object) -> dict[str, str]:
    """This process's environment without settings of the engine, and with these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    return clean | {name: str(value) for name, value in ours.items()}


def _settings(home: Path) -> Settings:
    values: Mapping[str, str] = environment.load(home)
    return settings.load({**values, "PRICING_HOME": str(home)})


def _reductions(engine: Engine) -> set[str]:
    """The promotions and sale lists in force."""
    rulebook = engine.http.get("/api/v1/rulebook").raise_for_status().json()
    sales = [part for part in rulebook["price_lists"] if part["kind"] == "sale"]
    return {part["id"] for part in [*rulebook["promotions"], *sales]}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """PostgreSQL and Redis without the engine's processes, for tests that call the code itself."""
    home = tmp_path_factory.mktemp("servers") / "home"
    unsynced.servers_up(home, _environ())
    yield _settings(home)
    stack.down(home)


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the running engine's spans end up."""
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="session")
def feed() -> Iterator[FakeFeed]:
    """The running engine's market-data feed."""
    feed = FakeFeed()
    yield feed
    feed.close()


@pytest.fixture(scope="session")
def demo_engine(tmp_path_factory: pytest.TempPathFactory, collector: Collector, feed: FakeFeed) -> Iterator[Engine]:
    """The whole stack with the demo catalogue, for all files."""
    home = tmp_path_factory.mktemp("engine") / "home"
    environ = _environ(
        PRICING_PORT=ports.free_port(),
        PRICING_WORKER_METRICS_PORT=ports.free_port(),
        PRICING_LISTENER_METRICS_PORT=ports.free_port(),
        PRICING_FEED_URL=feed.url,
        PRICING_FEED_TIMEOUT_S=1,
        PRICING_WEBHOOK_NETWORKS="127.0.0.0/8",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
    )
    unsynced.servers_up(home, environ)
    stack.up(home, environ)
    engine = Engine(home, _settings(home))
    yield engine
    engine.close()
    stack.down(home)


@pytest.fixture(scope="module")
def engine(demo_engine: Engine) -> Iterator[Engine]:
    """The same for one file. Its promotions and sales end with it: with one in force, other writes recalculate more."""
    before = _reductions(demo_engine)
    yield demo_engine
    assert _reductions(demo_engine) <= before, "the file leaves promotions or sales in force"


@pytest.fixture(scope="session")
def span_exporter() -> InMemorySpanExporter:
    """Takes every recorded span. OpenTelemetry allows one provider a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(RootSampler(1)))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(span_exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    """The same, with the spans of one test."""
    span_exporter.clear()
    yield span_exporter
    span_exporter.clear()
