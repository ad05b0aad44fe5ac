"""How long after a price has changed the processes of an API still serve the old one."""

import http.client
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median
from typing import Any

import redis

from shared.cache.writer import SheetWriter
from shared.commands import demo
from shared.messaging import clients
from shared.postgres import pools
from shared.prices import new_versions, published
from shared.rulebook import store as rulebook
from shared.settings import Settings
from tests.bench import arena, catalogue
from tests.bench.judge import Bar
from tests.bench.outcome import Options, Outcome
from tests.bench.series import PRICE, known
from tests.bench.server import Server
from tests.bench.wrk import CannotMeasure

PROCESSES = 2
# The kernel chooses which process takes a connection.
MOST_CONNECTIONS = 200
# After this a process will not notice at all.
GIVE_UP_S = 5.0


class Silent(redis.Redis):
    """Loses every announcement, as a broken link would."""

    def publish(self, channel: Any, message: Any, **more: Any) -> int:
        """To nobody."""
        return 0


@dataclass
class Shopper:
    """One connection, and so one process; it asks for the same product again and again."""

    connection: http.client.HTTPConnection
    body: str
    version: int = 0
    asked: int = 0
    backwards: int = 0

    def ask(self) -> int:
        """The version that is served now."""
        self.connection.request("POST", PRICE, self.body, {"content-type": "application/json"})
        version = int(json.loads(self.connection.getresponse().read())["version"])
        self.asked += 1
        self.backwards += version < self.version
        self.version = max(version, self.version)
        return version


@dataclass
class Changes:
    """Changes one product's price as the workers do: to PostgreSQL, then to Redis, then announced."""

    settings: Settings
    cache: redis.Redis
    product: Any
    prices: Iterator[int] = field(default_factory=lambda: iter(range(5_000, 1_000_000)))

    def change(self, events: redis.Redis) -> tuple[int, float]:
        """The new version, and when PostgreSQL had it, by `time.perf_counter`."""
        base_price = Decimal(next(self.prices)).scaleb(-2)
        product = type(self.product)(
            product_id=self.product.product_id, name="changing", currency="USD", base_price=base_price
        )
        with pools.connect(self.settings, catalogue.PROCESS) as conn:
            repriced = published.write_products(
                conn, [product], rulebook.active_policy(conn), new_versions.Cause("write", "bench")
            )
        changed_at = time.perf_counter()
        SheetWriter(self.cache, events, self.settings.cache_ttl_s).put(list(repriced.sheets.values()))
        return repriced.sheets[product.product_id].version, changed_at


def run(options: Options) -> Outcome:
    """Measure with announcements and without, and look for versions that go backwards."""
    announced, silent = (options.rounds or (20 if options.quick else 60)), (5 if options.quick else 20)
    both = sorted({options.cores.server, options.cores.others})
    options.say(f"PostgreSQL, Redis and an API of {PROCESSES} processes")
    with arena.opened(options.cores, 0) as place, ExitStack() as undo:
        server = undo.enter_context(place.engine("api", {"PRICING_API_PROCESSES": PROCESSES}, both))
        product = next(demo.demo_products())
        shoppers = undo.enter_context(_one_of_each(server, product.product_id))
        url = place.settings.redis_for("events")
        cache = undo.enter_context(clients.client(url, catalogue.PROCESS))
        changes = Changes(place.settings, cache, product)
        options.say(f"{announced} changes that are announced, {silent} whose announcement is lost")
        told = list(_trials(announced, changes, cache, shoppers))
        with Silent.from_url(url) as lost:
            untold = list(_trials(silent, changes, lost, shoppers))
    asked, backwards = (sum(getattr(s, name) for s in shoppers) for name in ("asked", "backwards"))
    return Outcome(
        bars=[
            Bar(f"announced: every process serves it, median of {announced}", median(told) * 1000, "≤", 50, " ms"),
            Bar(f"not announced: every process serves it, longest of {silent}", max(untold) * 1000, "≤", 1100, " ms"),
            Bar(f"versions that went backwards, of {asked:,} answers", backwards, "≤", 0),
        ],
        figures={
            "announced_ms": [known(s * 1000) for s in told],
            "not_announced_ms": [known(s * 1000) for s in untold],
            "answers": asked,
        },
    )


def _trials(count: int, changes: Changes, events: redis.Redis, shoppers: list[Shopper]) -> Iterator[float]:
    """How long each change took to reach the last process, in seconds."""
    dice = random.Random(catalogue.SEED)
    for _ in range(count):
        # The look at Redis that every second brings shall be as far away as it happens to be.
        _ask_until(dice.uniform(0, 1) + time.perf_counter(), shoppers, lambda: False)
        version, changed_at = changes.change(events)
        _ask_until(changed_at + GIVE_UP_S, shoppers, lambda v=version: min(s.version for s in shoppers) >= v)  # type: ignore[misc]
        yield time.perf_counter() - changed_at


def _ask_until(end: float, shoppers: list[Shopper], is_done: Callable[[], bool]) -> None:
    while time.perf_counter() < end and not is_done():
        for shopper in shoppers:
            shopper.ask()


@contextmanager
def _one_of_each(server: Server, product_id: str) -> Iterator[list[Shopper]]:
    """A shopper at each of the server's processes.

    Raises:
        CannotMeasure: one of them takes no connection.
    """
    body = json.dumps({"product_id": product_id})
    host = server.url.removeprefix("http://")
    found: dict[int, Shopper] = {}
    with ExitStack() as undo:
        for _ in range(MOST_CONNECTIONS):
            shopper = Shopper(http.client.HTTPConnection(host, timeout=30), body)
            undo.callback(shopper.connection.close)
            shopper.ask()
            found.setdefault(_process_at(server, shopper), shopper)
            if len(found) == len(server.serving):
                yield list(found.values())
                return
    raise CannotMeasure(f"{MOST_CONNECTIONS} connections were all taken by {len(found)} of the API's processes.")


def _process_at(server: Server, shopper: Shopper) -> int:
    own = shopper.connection.sock.getsockname()
    for process in server.serving:
        if any(tuple(c.raddr) == own for c in process.net_connections("tcp4")):
            return process.pid
    raise CannotMeasure("The process behind a connection cannot be found.")
