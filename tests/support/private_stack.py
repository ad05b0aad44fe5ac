"""A stack of one's own: a temporary home, free ports, its own span collector and market-data feed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy import ports
from deploy.native import environment, programs, stack
from shared import settings
from tests.support.collector import Collector
from tests.support.engine import Engine
from tests.support.feed import FakeFeed
from tests.support.processes import Processes


@dataclass(frozen=True)
class PrivateStack:
    """What runs, and what it talks to."""

    engine: Engine
    collector: Collector
    feed: FakeFeed
    processes: Processes


@contextmanager
def running(**chosen: str) -> Iterator[PrivateStack]:
    """Start the engine natively with the demo catalogue; stop it and remove all of it after the block.

    Args:
        chosen: Settings of its own; with the URLs of other servers none are started.

    Raises:
        StackError: it did not start; the text says why.
    """
    with ExitStack() as undo:
        folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="pricing-"))
        home = Path(folder).resolve() / "home"
        collector, feed = Collector(), FakeFeed()
        undo.callback(collector.close)
        undo.callback(feed.close)
        undo.callback(stack.down, home)
        # Not Jaeger, whose ports are fixed: they are the user's.
        stack.up(home, _environ(collector, feed) | chosen, [name for name in programs.NAMES if name != "jaeger"])
        known = settings.load({**environment.load(home), "PRICING_HOME": str(home)})
        engine = Engine(home, known)
        undo.callback(engine.close)
        yield PrivateStack(engine, collector, feed, Processes(home))


def _environ(collector: Collector, feed: FakeFeed) -> dict[str, str]:
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    return machine | {
        "PRICING_PORT": str(ports.free_port()),
        "PRICING_WORKER_METRICS_PORT": str(ports.free_port()),
        "PRICING_LISTENER_METRICS_PORT": str(ports.free_port()),
        "PRICING_FEED_URL": feed.url,
        "PRICING_FEED_TIMEOUT_S": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
    }
