"""Where the cases play: a stack of its own, whose way to PostgreSQL and Redis leads through proxies.

A topology may put other servers in the place of Redis, or of a role of Redis, or before PostgreSQL.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import redis

from deploy.native import environment as stack_environment
from deploy.native import stack, state
from shared import settings
from shared.cache import sheets, tags
from shared.cache.commands import SyncCache, is_cluster, run
from shared.messaging import clients
from shared.messaging.cluster import mget
from shared.settings import Settings
from tests.chaos.topologies import Added, Topology, added
from tests.support import private_stack
from tests.support.engine import Engine
from tests.support.feed import FakeFeed
from tests.support.processes import Processes
from tests.support.proxy import Proxy, proxy_to

BATCH = 500


@dataclass(frozen=True)
class Environment:
    """A running stack.

    Attributes:
        engine: Over HTTP, and to the servers directly: no fault of the proxies touches it.
        broker: Redis' database of the queues, directly, with all rights.
        apps: The processes of api, worker and listener.
        servers: Those of postgres and redis, under a supervisor of their own.
        to_postgres: The engine's way to PostgreSQL, or to its pooler.
        to_redis: Its way to Redis, in all roles that the topology does not lead elsewhere.
        cache: Redis of the sheets, directly.
        added: The topology's own servers.
    """

    engine: Engine
    broker: redis.Redis
    apps: Processes
    servers: Processes
    to_postgres: Proxy
    to_redis: Proxy
    feed: FakeFeed
    cache: SyncCache
    added: Added

    def cached(self, product_ids: Iterable[str]) -> dict[str, str | None]:
        """The entries of products in Redis; None: there is none."""
        ids, found = list(product_ids), dict[str, str | None]()
        for start in range(0, len(ids), BATCH):
            groups = tags.grouped(ids[start : start + BATCH], str, is_cluster(self.cache))
            reads = [
                mget(tag, [sheets.key(product_id, tag) for product_id in of_tag]) for tag, of_tag in groups.items()
            ]
            for product_id, value in tags.each(groups, run(self.cache, reads)):
                found[product_id] = value.decode() if isinstance(value, bytes) else value
        return found


@contextmanager
def standing(topology: Topology = "single") -> Iterator[Environment]:
    """Start everything; stop it and remove all of it after the block.

    Raises:
        StackError: it did not start; the text says why.
    """
    with ExitStack() as undo:
        place = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="chaos-"))).resolve()
        home = place / "servers"
        undo.callback(stack.down, home)
        stack.up(home, _machine(), ["postgres", "redis"])
        single = settings.load({**stack_environment.load(home), "PRICING_HOME": str(home)})
        to_postgres = undo.enter_context(proxy_to(single.database_url))
        to_redis = undo.enter_context(proxy_to(single.redis_url))
        more = undo.enter_context(added(topology, place, single, to_postgres.url()))
        running = undo.enter_context(private_stack.running(**_by_proxies(single, to_postgres, to_redis) | more.chosen))
        engine = Engine(running.engine.home, _directly(running.engine.settings, more.direct))
        undo.callback(engine.close)
        cache = clients.sheets_client(more.direct.redis_for("cache"), "chaos")
        undo.callback(cache.close)
        broker = (
            clients.client(more.direct.redis_for("broker"), "chaos")
            if more.sentinel
            else redis.Redis.from_url(state.load(home).redis_admin_url(1), socket_timeout=2)
        )
        undo.callback(broker.close)
        servers = Processes(home)
        to_database = more.to_pooler or to_postgres
        yield Environment(engine, broker, running.processes, servers, to_database, to_redis, running.feed, cache, more)


def _machine() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}


def _by_proxies(direct: Settings, to_postgres: Proxy, to_redis: Proxy) -> dict[str, str]:
    return {
        "PRICING_DATABASE_URL": to_postgres.url(),
        "PRICING_REDIS_URL": to_redis.url(),
        "PRICING_BROKER_URL": to_redis.url(urlsplit(direct.redis_for("broker")).path),
        # Receivers of webhooks listen there; every other address of this machine is private to them.
        "PRICING_WEBHOOK_NETWORKS": "127.0.0.1/32",
        # Above the delays by which cases make a run last.
        "PRICING_FEED_TIMEOUT_S": "5",
    }


def _directly(by_proxies: Settings, direct: Settings) -> Settings:
    urls = {"database_url": direct.database_url, "redis_url": direct.redis_url, "broker_url": direct.broker_url}
    return msgspec.structs.replace(by_proxies, **urls)
