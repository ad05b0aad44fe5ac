"""Commands of the cache: to one server, or to the nodes of a cluster."""

import asyncio
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode

from shared.cache.breaker import Breaker
from shared.errors import RedisUnavailable
from shared.messaging.cluster import AsyncCluster, Cluster, Command

SyncCache = redis.Redis | Cluster
AsyncCache = redis.asyncio.Redis | AsyncCluster


def is_cluster(client: SyncCache | AsyncCache) -> bool:
    """Whether keys need hash tags."""
    return isinstance(client, Cluster | AsyncCluster)


def run(client: SyncCache, commands: Sequence[Command]) -> list[Any]:
    """The replies to commands; raises the first error."""
    if isinstance(client, Cluster):
        return client.run(commands)
    return [client.execute_command(*command.words) for command in commands]  # type: ignore[no-untyped-call] # redis-py has no types here


class Guarded:
    """Runs commands of the read path, with a breaker for the server, or for each node."""

    def __init__(self) -> None:
        self._breaker = Breaker("redis", RedisUnavailable)
        self._nodes: dict[str, Breaker] = {}

    async def run(self, client: AsyncCache, commands: Sequence[Command]) -> list[Any]:
        """The reply to each command, or RedisUnavailable in its place, where its server or node is away."""
        try:
            with self._breaker.guarded():
                if not isinstance(client, AsyncCluster):
                    return await _at_server(client, commands)
                nodes = await client.nodes_of(commands)
        except RedisUnavailable as error:
            return [error] * len(commands)
        parts = await asyncio.gather(
            *(self._at_node(client, node, [commands[number] for number in numbers]) for node, numbers in nodes.items())
        )
        replies: dict[int, Any] = {}
        for numbers, part in zip(nodes.values(), parts, strict=True):
            replies |= zip(numbers, part, strict=True)
        return [replies[number] for number in range(len(commands))]

    async def _at_node(self, client: AsyncCluster, node: ClusterNode, commands: Sequence[Command]) -> list[Any]:
        if node.name not in self._nodes:
            self._nodes[node.name] = Breaker("redis", RedisUnavailable)
        try:
            with self._nodes[node.name].guarded():
                return await client.run_at(node, commands)
        except RedisUnavailable as error:
            return [error] * len(commands)


async def _at_server(client: redis.asyncio.Redis, commands: Sequence[Command]) -> list[Any]:
    if len(commands) == 1:
        return [await client.execute_command(*commands[0].words)]  # type: ignore[no-untyped-call] # as above
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command.words)
    return await pipeline.execute()
