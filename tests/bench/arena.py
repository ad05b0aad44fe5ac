"""Where it is measured: PostgreSQL, Redis, a span collector and a catalogue, in a temporary folder."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from deploy.errors import StackError
from deploy.native import environment, stack, state
from shared.access import keys
from shared.postgres import pools
from shared.settings import Settings, load
from tests.bench import catalogue, server
from tests.bench.cores import Cores
from tests.bench.server import Server
from tests.bench.wrk import CannotMeasure
from tests.support.collector import Collector

# The numbered database of the same Redis that the peer has to itself.
PEER_DATABASE = 2


@dataclass(frozen=True)
class Arena:
    """What the servers talk to.

    Attributes:
        folder: For files of the run.
        cores: Who runs where.
        settings: With the addresses of PostgreSQL and Redis.
        redis_urls: The database of the engine's sheets and the one of the peer's, of the same Redis.
        collector: Takes all spans.
        cold: Products in PostgreSQL that nobody has asked for.
        key: An API key: only with one a caller decides about its trace.
    """

    folder: Path
    cores: Cores
    settings: Settings
    redis_urls: tuple[str, str]
    collector: Collector
    cold: Sequence[str]
    key: str

    def engine(
        self, name: str, values: Mapping[str, object] = MappingProxyType({}), cores: Sequence[int] = ()
    ) -> AbstractContextManager[Server]:
        """This engine's API in one process on the server's core, with these settings besides the defaults."""
        return self._run("api", name, {"PRICING_API_PROCESSES": 1, **values}, cores)

    def peer(self) -> AbstractContextManager[Server]:
        """The peer."""
        return self._run("tests.bench.peer", "peer", {"PRICING_REDIS_URL": self.redis_urls[1]}, ())

    def ceiling(self, name: str = "ceiling") -> AbstractContextManager[Server]:
        """The ceiling."""
        return self._run("tests.bench.ceiling", name, {}, ())

    def write(self, name: str, documents: Sequence[object]) -> Path:
        """A file of queries for wrk."""
        return catalogue.write(self.folder / f"{name}.jsonl", documents)

    def _run(
        self, module: str, name: str, values: Mapping[str, object], cores: Sequence[int]
    ) -> AbstractContextManager[Server]:
        servers = {
            "PRICING_DATABASE_URL": self.settings.database_url,
            "PRICING_REDIS_URL": self.settings.redis_url,
            "PRICING_BROKER_URL": self.settings.broker_url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.endpoint,
        }
        env = {name: str(value) for name, value in (servers | dict(values)).items()}
        return server.running(module, self.folder / name, env, cores or [self.cores.server])


@contextmanager
def opened(cores: Cores, cold_products: int) -> Iterator[Arena]:
    """Start the servers, fill the catalogue; stop and remove all of it after the block.

    Raises:
        CannotMeasure: a server did not start.
    """
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="pricing-bench-"))).resolve()
        home = folder / "home"
        undo.callback(stack.down, home)
        machine = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
        try:
            stack.up(home, machine, ["postgres", "redis"])
        except StackError as error:
            raise CannotMeasure(str(error)) from None
        collector = Collector()
        undo.callback(collector.close)
        settings = load({**environment.load(home), "PRICING_HOME": str(home)})
        cold = catalogue.fill(settings, cold_products)
        urls = (settings.redis_url, state.load(home).redis_url(PEER_DATABASE))
        with pools.connect(settings, "bench") as conn:
            _, key = keys.create(conn, "bench", ["prices:read"], "just")
        yield Arena(folder, cores, settings, urls, collector, cold, key)
