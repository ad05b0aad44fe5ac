"""The servers that a topology has beside those of `single`, and the settings by which the engine uses them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from deploy import ports
from shared.settings import Settings
from tests.support import earlier_release, pgbouncer, standbys
from tests.support.engine import Engine
from tests.support.pgbouncer import PgBouncer
from tests.support.proxy import Proxy, proxy_to
from tests.support.redis_cluster import RedisCluster, redis_cluster
from tests.support.sentinels import Failovers, failovers

Topology = Literal["single", "sentinel", "cluster", "pooler", "standby", "earlier"]


@dataclass(frozen=True)
class Added:
    """The servers of one topology.

    Attributes:
        chosen: The settings of the engine that lead to them.
        direct: All addresses past the proxies and the pooler.
        sentinel: Redis in all roles, behind Sentinel.
        cluster: The cluster of the cache.
        pooler: The pooler before PostgreSQL.
        to_pooler: The engine's way to it.
        standby_port: Where a case may start PostgreSQL's standby.
        earlier: A stack of an earlier release on the same servers, which was there first.
    """

    chosen: dict[str, str]
    direct: Settings
    sentinel: Failovers | None = None
    cluster: RedisCluster | None = None
    pooler: PgBouncer | None = None
    to_pooler: Proxy | None = None
    standby_port: int = 0
    earlier: Engine | None = None


def missing(topology: Topology) -> str:
    """How to install what a topology needs and this machine lacks; empty: all is there."""
    if topology == "earlier":
        return earlier_release.missing()
    return pgbouncer.INSTALL if topology == "pooler" and not pgbouncer.found() else ""


@contextmanager
def added(topology: Topology, folder: Path, direct: Settings, to_postgres: str) -> Iterator[Added]:
    """Start the servers of a topology; stop them after the block.

    Args:
        topology: Which.
        folder: For their files.
        direct: The addresses of the single PostgreSQL and Redis.
        to_postgres: The address of PostgreSQL by its proxy.
    """
    if topology == "sentinel":
        with failovers(folder) as sentinel:
            chosen = {"PRICING_REDIS_URL": sentinel.url, "PRICING_BROKER_URL": ""}
            yield Added(
                chosen, msgspec.structs.replace(direct, redis_url=sentinel.url, broker_url=""), sentinel=sentinel
            )
    elif topology == "cluster":
        with redis_cluster(folder) as cluster:
            chosen = {"PRICING_CACHE_URL": cluster.url}
            yield Added(chosen, msgspec.structs.replace(direct, cache_url=cluster.url), cluster=cluster)
    elif topology == "pooler":
        with pgbouncer.pgbouncer(direct.database_url, folder) as pooler:
            pooled = msgspec.structs.replace(
                direct,
                database_url=pooler.url(urlsplit(direct.database_url).path.removeprefix("/")),
                database_direct_url=direct.database_url,
                database_pooler="transaction",
            )
            pgbouncer.migrated(pooled, pooler)
            with proxy_to(pooled.database_url) as to_pooler:
                chosen = {
                    "PRICING_DATABASE_URL": to_pooler.url(),
                    "PRICING_DATABASE_DIRECT_URL": pooled.database_direct_url,
                    "PRICING_DATABASE_POOLER": pooled.database_pooler,
                }
                yield Added(chosen, direct, pooler=pooler, to_pooler=to_pooler)
    elif topology == "standby":
        port = ports.free_port()
        both = msgspec.structs.replace(direct, database_url=standbys.both(direct.database_url, port))
        yield Added({"PRICING_DATABASE_URL": standbys.both(to_postgres, port)}, both, standby_port=port)
    elif topology == "earlier":
        with earlier_release.running(folder, **earlier_release.on_the_servers_of(direct)) as earlier:
            yield Added({}, direct, earlier=earlier)
    else:
        yield Added({}, direct)
