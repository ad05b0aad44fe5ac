"""Clients of Redis: named, and gone when they are closed."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from redis.exceptions import ReadOnlyError

from deploy.native import state
from shared.errors import RedisUnavailable, translate
from shared.messaging import clients
from shared.postgres.pools import Pool
from shared.rulebook import store as rulebook
from shared.settings import Settings
from tests.integration.cache.reader_stand import Stand, run
from tests.integration.catalogue_examples import new_id, product, write
from tests.support.waiting import eventually


@pytest.fixture
def process() -> str:
    """A name by which the server knows the test's own connections."""
    return f"test-{uuid4().hex[:8]}"


def connected(cache: redis.Redis, process: str) -> int:
    return sum(str(client["name"]).startswith(process) for client in cache.client_list())


def test_a_client_says_who_it_is_and_its_connections_end_with_it(
    settings: Settings, cache: redis.Redis, process: str
) -> None:
    client = clients.client(settings.redis_for("cache"), process)
    assert connected(cache, process) == 0
    client.ping()
    assert connected(cache, process) == 1
    client.close()
    eventually(lambda: connected(cache, process) == 0, "its connection is closed", deadline_s=10)


def test_the_cache_client_says_who_it_is_and_its_connections_end_with_it(
    settings: Settings, cache: redis.Redis, process: str
) -> None:
    async def test() -> None:
        client = clients.cache_client(settings.redis_for("cache"), process)
        await asyncio.gather(*(client.get("nothing") for _ in range(3)))
        assert connected(cache, process) > 0
        await client.aclose()
        await asyncio.to_thread(
            eventually, lambda: connected(cache, process) == 0, "its connections are closed", deadline_s=10
        )

    asyncio.run(test())


@pytest.mark.parametrize("name", ["a name with spaces", "pricing-api"])
def test_any_process_name_is_one_that_redis_takes(settings: Settings, name: str) -> None:
    client = clients.client(settings.redis_for("cache"), name)
    assert client.ping()
    client.connection_pool.disconnect()


def test_a_server_that_is_away_is_told_at_the_first_command_and_not_before() -> None:
    client = clients.client("redis://127.0.0.1:1", "nobody")
    with pytest.raises(redis.ConnectionError):
        client.ping()


@pytest.fixture
def demoted(settings: Settings) -> Iterator[redis.Redis]:
    """A Redis that became a replica while it was in use, as in a failover."""
    operator = redis.Redis.from_url(state.load(settings.home_dir).redis_admin_url(0))
    client = clients.client(settings.redis_for("cache"), "tests")
    client.set("pricing:test:failover", "1")
    operator.replicaof("127.0.0.1", 1)
    yield client
    operator.replicaof("NO", "ONE")
    operator.delete("pricing:test:failover")
    operator.close()
    client.close()


def test_a_connection_to_a_demoted_server_ends_with_its_first_refusal(demoted: redis.Redis) -> None:
    before = demoted.client_id()
    with pytest.raises(ReadOnlyError) as refused:
        demoted.set("pricing:test:failover", "2")
    assert isinstance(translate(refused.value), RedisUnavailable)
    assert demoted.client_id() != before


def test_a_full_or_demoted_redis_fails_no_cold_read(demoted: redis.Redis, settings: Settings, pool: Pool) -> None:
    """The sheet comes from PostgreSQL; that it cannot be cached is no error of the query."""
    product_id = new_id()
    with pool.connection() as conn:
        policy = rulebook.active_policy(conn)
    write(pool, policy, product(product_id))

    async def read(own: Stand) -> None:
        found, _ = await own.reader.find([product_id])
        assert found[product_id].source == "database"

    run(settings, read)
