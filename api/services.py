"""The API's composition root: its clients and services, built once per process and closed in reverse order."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import msgspec
import redis

from api.bulkheads import is_of_console, is_write
from api.changes.streams import ChangeStreams
from api.scrapes import Scrapes
from shared import addresses
from shared.access.audit_log import AuditLog
from shared.access.known import KnownKeys
from shared.access.price_limits import PriceLimits
from shared.access.rate_limits import Kind, RateLimits
from shared.cache import changes
from shared.cache.near import NearCache
from shared.cache.reader import PriceReader
from shared.cache.writer import SheetWriter
from shared.changes.sending import WebhookSender
from shared.errors import translated
from shared.jobs import backlog_metrics
from shared.market_events.feed import MarketDataFeed
from shared.messaging import clients
from shared.messaging.messages import Enqueuer
from shared.offers.keys import OfferKeys
from shared.offers.revocations import RevocationsCopy
from shared.postgres import clock, pools
from shared.postgres.clock import PostgresClock
from shared.postgres.pools import AsyncPool, Conn, Pool
from shared.processes import freeze_gc
from shared.rulebook.past import PastTerms
from shared.settings import Settings
from shared.telemetry import tracing
from shared.telemetry.exposition import exposition

PROCESS = "pricing-api"
READ_CONNECTIONS = 8
WRITE_CONNECTIONS = 4
LOOKUP_CONNECTIONS = 4
CONSOLE_CONNECTIONS = 3


class Services(msgspec.Struct, frozen=True):
    """The clients and services that handlers use.

    Attributes:
        reader: Finds sheets and the rulebook for quotes.
        near: The near cache of this process.
        keys: The live API keys.
        audit_log: Stores who wrote what.
        reads: Pool of the read path (asyncio).
        writes: Pool of writes; handlers that use it run on threads.
        lookups: Pool of everything else on threads, so that writes that hang keep no connection from it.
        console: Pool of the console.
        cache: Redis of the read path (asyncio).
        events: Redis of the channels.
        enqueue: Sends messages to the queues.
        writer: Writes sheets to Redis after a product was written over HTTP.
        feed: The market-data feed.
        scrapes: Collects the metrics.
        rate_limits: Buckets of callers, shared by all processes.
        price_limits: Buckets of keys that limit price queries, shared by the processes of this instance.
        past_terms: Rulebooks and market values of the past.
        streams: The streams of changes of this process.
        webhook_sender: Checks endpoints of webhooks, and sends test calls.
        clock: PostgreSQL's time.
        offer_keys: Sign and verify offers.
        revocations: The instant before which offers are revoked.
    """

    settings: Settings
    reader: PriceReader
    near: NearCache
    keys: KnownKeys
    audit_log: AuditLog
    reads: AsyncPool
    writes: Pool
    lookups: Pool
    console: Pool
    # An `AsyncCache`. Litestar reads the types of these fields, and refuses a union of two classes.
    cache: Any
    events: redis.Redis
    enqueue: Enqueuer
    writer: SheetWriter
    feed: MarketDataFeed
    scrapes: Scrapes
    rate_limits: RateLimits
    price_limits: PriceLimits
    past_terms: PastTerms
    streams: ChangeStreams
    webhook_sender: WebhookSender
    clock: PostgresClock
    offer_keys: OfferKeys
    revocations: RevocationsCopy

    @contextmanager
    def transaction(self) -> Iterator[Conn]:
        """A connection in a transaction, for handlers on threads; commits unless an error is raised.

        Raises:
            DatabaseUnavailable: PostgreSQL is away, or no connection was free for 2 s.
        """
        pool = self.console if is_of_console() else self.writes if is_write() else self.lookups
        with translated(), pool.connection() as conn:
            yield conn


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """Build the services. No server needs to be up yet: each look-up bounds its own wait."""
    async with AsyncExitStack() as stack:
        provider = tracing.configure(PROCESS, settings)
        stack.callback(provider.shutdown)
        reads = pools.read_pool(settings, PROCESS, READ_CONNECTIONS)
        await reads.open(wait=False)
        stack.push_async_callback(reads.close)
        writes = pools.pool(settings, PROCESS, WRITE_CONNECTIONS)
        writes.open(wait=False)
        stack.callback(writes.close)
        lookups = pools.pool(settings, PROCESS, LOOKUP_CONNECTIONS)
        lookups.open(wait=False)
        stack.callback(lookups.close)
        console = pools.pool(settings, f"{PROCESS}-console", CONSOLE_CONNECTIONS)
        console.open(wait=False)
        stack.callback(console.close)
        watched = stack.enter_context(clock.watched(writes))
        clients.warn_of_shared_database(settings)
        cache = clients.cache_client(settings.redis_for("cache"), PROCESS)
        stack.push_async_callback(cache.aclose)
        traced = clients.cache_client(settings.redis_for("cache"), PROCESS)
        stack.push_async_callback(traced.aclose)
        sync_cache = clients.sheets_client(settings.redis_for("cache"), PROCESS)
        stack.callback(sync_cache.close)
        events = clients.client(settings.redis_for("events"), PROCESS)
        stack.callback(events.close)
        queue = clients.client(settings.redis_for("broker"), PROCESS)
        stack.callback(queue.close)
        for client in (traced, sync_cache, events):
            clients.trace(client, provider)
        feed = MarketDataFeed(settings.feed_url, settings.feed_timeout_s, settings.feed_key)
        stack.callback(feed.close)
        near = NearCache(settings.near_cache_entries, settings.near_cache_bytes)
        reader = PriceReader(cache, reads, settings.cache_ttl_s, near, traced)
        await stack.enter_async_context(changes.followed_by(near, reader.rulebook, events))
        await reader.prepare()
        stack.callback(reader.report)
        for loop in (reader.read_ahead(), reader.rulebook.keep_fresh()):
            stack.callback(asyncio.create_task(loop).cancel)
        keys = KnownKeys(reads)
        await keys.refresh()
        stack.push_async_callback(keys.note_use)
        keeping_fresh = asyncio.create_task(keys.keep_fresh())
        stack.callback(keeping_fresh.cancel)
        revocations = RevocationsCopy(reads)
        await revocations.read()
        stack.callback(asyncio.create_task(revocations.keep_fresh()).cancel)
        audit_log = AuditLog(reads)
        stack.push_async_callback(audit_log.close)
        freeze_gc()
        streams = ChangeStreams(reads, settings.port, keys.is_live, settings.stream_timeout_s)
        stack.callback(asyncio.create_task(streams.run()).cancel)
        scrapes = Scrapes(lambda: exposition(backlog_metrics.PriceStatistics(lookups)))
        stack.callback(scrapes.close)
        rates: dict[Kind, int] = {
            "writes": settings.writes_per_s,
            "lists": settings.lists_per_s,
            "failed-keys": settings.failed_keys_per_s,
        }
        rate_limits = RateLimits(cache, rates)
        price_limits = PriceLimits(settings.home_dir)
        stack.callback(price_limits.close)
        yield Services(
            settings=settings,
            reader=reader,
            near=near,
            keys=keys,
            audit_log=audit_log,
            reads=reads,
            writes=writes,
            lookups=lookups,
            console=console,
            cache=cache,
            events=events,
            enqueue=Enqueuer(queue),
            writer=SheetWriter(sync_cache, events, settings.cache_ttl_s, writes),
            feed=feed,
            scrapes=scrapes,
            rate_limits=rate_limits,
            price_limits=price_limits,
            past_terms=PastTerms(),
            streams=streams,
            webhook_sender=WebhookSender(addresses.networks(settings.webhook_networks)),
            clock=watched,
            offer_keys=OfferKeys(settings.offer_keys),
            revocations=revocations,
        )
