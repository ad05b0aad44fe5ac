"""A worker's services on real servers, with queues that tests look into and a feed of their own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
import redis
from opentelemetry.sdk.trace import TracerProvider

from shared.cache import sheets
from shared.market_events.feed import FeedQuote, MarketDataFeed
from shared.messaging import lock
from shared.messaging.messages import Enqueuer
from shared.postgres.pools import Pool
from shared.prices import published
from shared.prices.new_versions import StoredSheet
from shared.pricing.sheet import PriceSheet
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.workers.event_examples import Events
from tests.integration.workers.run_examples import Runs
from workers import services as composition
from workers.services import PARTITION_SLOTS, Services


class Queues(Enqueuer):
    """Keeps the messages: each one's actor, and its argument."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def _send(self, queue: str, actor: str, *args: Any, message_id: str | None = None, delay_ms: int = 0) -> None:
        self.sent.append((actor, *args))


class Feed(MarketDataFeed):
    """Returns these quotes for any products; a test may have something done meanwhile."""

    def __init__(self) -> None:
        self.known: list[FeedQuote] = []
        self.requested: list[list[str]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    @property
    def is_configured(self) -> bool:
        return True

    def quotes(self, product_ids: Sequence[str]) -> list[FeedQuote]:
        self.requested.append(sorted(product_ids))
        self.meanwhile()
        return self.known


@pytest.fixture(scope="session")
def built(settings: Settings) -> Iterator[Services]:
    """The services as a worker process builds them."""
    built = composition.build(settings, TracerProvider())
    yield built
    built.close()


@pytest.fixture
def queues() -> Queues:
    return Queues()


@pytest.fixture
def services(built: Services, queues: Queues) -> Services:
    """The same, with queues that no worker reads; a test replaces the parts that are to fail."""
    return msgspec.structs.replace(
        built,
        enqueue=queues,
        partition_slots=threading.BoundedSemaphore(PARTITION_SLOTS),
        stopping=threading.Event(),
    )


@pytest.fixture
def events(pool: Pool) -> Events:
    return Events(pool)


@pytest.fixture
def runs(pool: Pool, policy: ActivePolicy, no_tasks: None) -> Runs:
    return Runs(pool, policy)


@pytest.fixture
def no_tasks(pool: Pool, cache: redis.Redis) -> Iterator[None]:
    """No task, and no lock of one, before a test and after it."""
    _forget_tasks(pool, cache)
    yield
    _forget_tasks(pool, cache)


def _forget_tasks(pool: Pool, cache: redis.Redis) -> None:
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks, run_partitions")
    cache.delete(lock.KEY)


Cached = Callable[[str], PriceSheet | None]


@pytest.fixture
def cached(cache: redis.Redis, pool: Pool, lasting_marks: None) -> Cached:  # it is only in force
    """The sheet to which Redis leads a reader: its own, or at a mark PostgreSQL's; None: nothing was put."""

    def cached(product_id: str) -> PriceSheet | None:
        entry: Any = cache.get(sheets.key(product_id))
        if not entry or not (parts := sheets.parts(entry)).is_mark:
            return sheets.decode(product_id, entry) if entry else None
        with pool.connection() as conn:
            [stored] = published.stored_sheets(conn, [product_id])
        assert stored.version >= int(parts.version)
        return sheets.sheet_of(stored)

    return cached


class Interfering:
    """A writer that lets a test act before each put, or in its place."""

    def __init__(self, act: Callable[[], None], services: Services | None = None) -> None:
        self._act, self._services = act, services
        self.batches: list[list[str]] = []

    def put(self, stored: Sequence[StoredSheet]) -> None:
        self.batches.append([sheet.product_id for sheet in stored])
        self._act()
        if self._services:
            self._services.writer.put(stored)
