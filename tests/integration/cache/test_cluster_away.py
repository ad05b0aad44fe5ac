"""A Redis Cluster of which no node answers."""

import asyncio

import pytest
import redis

from shared.cache import commands, sheets, tags
from shared.errors import RedisUnavailable, translate
from shared.messaging import clients
from shared.messaging.cluster import Command


def test_without_any_node_every_command_fails_in_time_as_redis_away() -> None:
    client = clients.sheets_client("redis+cluster://127.0.0.1:1,127.0.0.1:2", "tests")
    with pytest.raises(redis.ConnectionError) as failed:
        commands.run(client, [Command(tags.ALL[0], ("GET", "pricing:beat"))])
    assert isinstance(translate(failed.value), RedisUnavailable)

    async def read() -> None:
        reader = clients.cache_client("redis+cluster://127.0.0.1:1,127.0.0.1:2", "tests")
        assert isinstance((await commands.Guarded().run(reader, [sheets.clock(tags.ALL[0])]))[0], RedisUnavailable)

    asyncio.run(read())
