"""What a case has at hand: the stack, its catalogue, the reads and updates that go on, and the clock."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import httpx
import psutil

from shared.cache import sheets
from shared.jobs.tasks import ENDED
from tests.chaos import catalogue
from tests.chaos.catalogue import FIRST_PRICE, Catalogue
from tests.chaos.environment import Environment
from tests.chaos.judge import Window
from tests.chaos.reader import Reader
from tests.chaos.traffic import Traffic
from tests.chaos.watch import Watch
from tests.support.processes import Processes
from tests.support.waiting import eventually

PLAIN_READ = 40
FLOWING = 8  # products that the updates are about


@dataclass
class Context:
    """One case at play.

    Attributes:
        run: The case's name, with which its products' and events' ids begin.
        rng: The case's dice: the same seed, the same faults.
        quick: Whether waits and repetitions are shortened.
        windows: When which failures of reads are expected.
        plain_price: What the plain products have to cost at the end.
        expected_events: How other events than the updates have to end: id → status.
        traffics: The updates; a case may add more of them.
        restored_from: The number of reads before a backup was restored; versions go back then.
        restored_to: The number of reads until all were those of the backup; both 0: there was no restore.
    """

    environment: Environment
    run: str
    rng: Random
    quick: bool
    say: Callable[[str], None]
    catalogue: Catalogue
    reader: Reader
    traffics: list[Traffic]
    watch: Watch
    windows: list[Window] = field(default_factory=list)
    plain_price: Decimal = FIRST_PRICE
    expected_events: dict[str, str] = field(default_factory=dict)
    restored_from: int = 0
    restored_to: int = 0

    @property
    def traffic(self) -> Traffic:
        """The updates that go on from the first to the last moment."""
        return self.traffics[0]

    @property
    def last(self) -> dict[str, Decimal]:
        """The last accepted value of every product that had updates."""
        return {product_id: value for traffic in self.traffics for product_id, value in traffic.last.items()}

    def times(self, full: int, quick: int) -> Iterator[int]:
        """Count repetitions from 1, and say so."""
        count = quick if self.quick else full
        for number in range(1, count + 1):
            self.say(f"{number} of {count}")
            yield number

    def recalculate(self) -> str:
        """Ask for a run over everything in which every plain price changes; the task's id."""
        self.plain_price += Decimal("0.01")
        catalogue.raise_list_prices(self.environment, self.catalogue, self.plain_price)
        return self.environment.engine.recalculate()

    def all_read(self) -> None:
        """Wait until every price that the reads are about was read from now on, and is cached."""
        ids, before = set(self.reader.product_ids), len(self.reader.reads)
        eventually(lambda: ids <= {read.product_id for read in self.reader.reads[before:]}, "all was read once")

        def is_cached() -> bool:
            entries = self.environment.cached(ids).values()
            return all(entry and not sheets.parts(entry.encode()).is_mark for entry in entries)

        # An update at the moment of the first read leaves a mark, which a later read replaces.
        eventually(is_cached, "all that is read is cached")

    def whole(self) -> None:
        """Wait until every program runs and the stack is ready."""
        eventually(lambda: is_whole(self.environment), "the stack is whole and ready again")

    def ended(self, task_id: str, status: str = "succeeded", deadline_s: float = 120.0) -> dict[str, Any]:
        """A task once it has ended, as it should; each of its products was counted once."""

        def look() -> dict[str, Any] | None:
            task = self.environment.engine.task(task_id)
            return task if task["status"] in ENDED else None

        task = eventually(look, f"the end of task {task_id}", deadline_s)
        assert task["status"] == status, f"task {task_id} ended {task['status']}, not {status}: {task['error']}"
        done, total = task["progress"]["done"], task["progress"]["total"]
        assert status != "succeeded" or done == total, f"task {task_id}: {done} of {total} done"
        return task

    def more_traffic(self, name: str, product_ids: list[str]) -> Traffic:
        """Further updates, of products that nobody else updates, which the judgement expects to be in the end."""
        engine, rng = self.environment.engine, Random(self.rng.random())
        traffic = Traffic(str(engine.http.base_url), engine.key, product_ids, rng, f"{self.run}-{name}")
        self.traffics.append(traffic)
        return traffic

    @contextmanager
    def failing(self, *statuses: int) -> Iterator[None]:
        """Reads may fail so within the block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.windows.append(Window(began, time.monotonic(), frozenset(statuses)))

    def has_price(self, product_id: str, task_id: str) -> bool:
        """Whether a run has decided a product."""
        row = "SELECT 1 FROM price_history WHERE product_id = %s AND cause_id = %s"
        return bool(self.environment.engine.sql(row, product_id, task_id))

    def seconds_until(self, look: Callable[[], object], what: str, deadline_s: float = 120.0) -> float:
        """How long it takes from now until something is so."""
        began = time.monotonic()
        eventually(lambda: look() or None, what, deadline_s)
        return time.monotonic() - began


@contextmanager
def playing(
    environment: Environment, run: str, size: tuple[int, int], seed: int, quick: bool, say: Callable[[str], None]
) -> Iterator[Context]:
    """A context with reads and updates going on, over a new catalogue of so many products, so many of them hot."""
    rng = Random(f"{seed}/{run}")
    products = catalogue.make(environment, run, *size)
    read = products.hot[:FLOWING] + rng.sample(products.plain, min(PLAIN_READ, len(products.plain)))
    engine = environment.engine
    with ExitStack() as undo:
        watch = undo.enter_context(Watch(environment.broker))
        reader = undo.enter_context(Reader(engine.settings.port, read, Random(rng.random())))
        flowing = Traffic(str(engine.http.base_url), engine.key, products.hot[:FLOWING], Random(rng.random()), run)
        undo.enter_context(flowing)
        yield Context(environment, run, rng, quick, say, products, reader, [flowing], watch)


def is_whole(environment: Environment) -> bool:
    """Whether every program runs, the API says that it is ready, and no process is left without its master."""
    try:
        apps: Processes = environment.apps
        programs = [apps.main(name) for name in ("api", "worker", "listener")]
        ready = environment.engine.http.get("/health/ready").json()["status"] == "ready"
    except (psutil.Error, httpx.TransportError, ValueError):
        return False
    return ready and all(program.is_running() for program in programs) and not apps.strays()
