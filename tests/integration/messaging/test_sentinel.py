"""Redis behind Sentinel: after a failover the same clients reach the new primary, and a demoted one is left."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
import redis.asyncio
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.errors import ConnectionClosed

from shared.cache import primaries
from shared.errors import RedisUnavailable, translate
from shared.messaging import broker, clients
from shared.messaging.broker import EVENTS_QUEUE, LossProofBroker
from shared.messaging.subscription import Subscription
from tests.support import private_stack, tls_servers
from tests.support.prerequisites import need
from tests.support.sentinels import Failovers, failovers
from tests.support.waiting import eventually

pytestmark = pytest.mark.long


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Failovers]:
    with failovers(tmp_path) as servers:
        yield servers


def writes(client: redis.Redis, value: str) -> bool:
    """Whether a write is accepted; a refusal is one that may pass."""
    try:
        client.set("pricing:test", value)
        return client.get("pricing:test") == value.encode()
    except redis.RedisError as error:
        assert isinstance(translate(error), RedisUnavailable), error
        return False


def port_of(client: redis.Redis) -> int | None:
    """The port of the server that the client is connected to; None: the connection broke at that moment."""
    try:
        return int(client.info("server")["tcp_port"])
    except redis.ConnectionError:
        return None


def test_a_killed_primary_is_replaced_for_writers_readers_and_subscribers(servers: Failovers) -> None:
    async def read(value: bytes) -> bool:
        reader = clients.cache_client(servers.url, "tests")
        try:
            return await reader.get("pricing:test") == value
        except redis.RedisError:
            return False
        finally:
            await reader.aclose()

    client = clients.client(servers.url, "tests")
    subscription = Subscription(client, "channel")

    def receives() -> bool:
        try:
            subscription.take(0.05)
            client.publish("channel", b"x")
            return subscription.take(0.5) == [b"x"]
        except redis.RedisError:
            return False

    assert writes(client, "before")
    assert asyncio.run(read(b"before"))
    eventually(receives, "the channel is read")
    killed = servers.kill_primary()
    eventually(lambda: writes(client, "after"), "writes are accepted again", 60)
    assert port_of(client) not in {killed, None}
    eventually(lambda: asyncio.run(read(b"after")), "the reader reads it")
    eventually(receives, "the channel is read again")
    subscription.close()
    client.close()


def test_a_demoted_primary_is_left_by_connections_that_were_open(servers: Failovers) -> None:
    client = clients.client(servers.url, "tests")
    assert writes(client, "before")
    primaries.note(client, primaries.read(client))
    eventually(servers.are_level, "the replica has it")
    demoted = servers.fail_over()
    assert port_of(client) in {demoted, None} or servers.primary() != demoted
    eventually(
        lambda: writes(client, "after") and port_of(client) not in {demoted, None}, "the new primary has the writes", 60
    )
    assert primaries.read(client).are_promoted
    client.close()


def test_a_worker_has_another_id_after_a_failover_and_gets_what_it_acknowledged_in_vain(
    servers: Failovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "HEARTBEAT_TIMEOUT_MS", 2_000)
    monkeypatch.setattr(broker, "MAINTENANCE_PER_MILLION", 1_000_000)
    worker = broker.create(clients.client(servers.url, "tests"))
    worker.declare_queue(EVENTS_QUEUE)
    assert isinstance(worker, LossProofBroker)
    consumer = worker.consume(EVENTS_QUEUE, timeout=100)
    worker.enqueue(Message(EVENTS_QUEUE, "actor", (), {}, {}))
    message = eventually(lambda: next(consumer), "the message")
    former = worker.broker_id
    eventually(lambda: servers.are_level(), "the replica has it")
    servers.cut_replica_off()
    consumer.ack(message)
    killed = servers.kill_primary()
    # The consumer notices nothing: its next connection leads to the new primary.
    eventually(lambda: servers.primary() != killed, "another primary")

    def turn() -> MessageProxy | None:
        with suppress(ConnectionClosed):
            return next(consumer)
        return None

    again = eventually(turn, "the message comes again")
    assert again.message_id == message.message_id
    assert worker.broker_id != former


def test_the_engine_answers_and_decides_while_its_primary_is_killed(servers: Failovers) -> None:
    with private_stack.running(PRICING_REDIS_URL=servers.url) as stack:
        engine = stack.engine
        product = engine.put_product(strategy="match")["product_id"]
        assert engine.price(product, user_location="CHI")["final_price"] == "100.00"
        servers.kill_primary()
        competitor = {"product_id": product, "competitor": "acme", "price": "95.00", "currency": "USD"}
        event = engine.publish("competitor_price_changed", competitor)
        # Every answer on the way is a price.
        eventually(
            lambda: engine.price(product, user_location="CHI")["final_price"] == "95.00", "the new price is served", 60
        )
        assert engine.settled(event["event_id"])["status"] == "applied"
        eventually(lambda: engine.http.get("/health/ready").json()["status"] == "ready", "the engine is ready", 60)


def test_over_tls_a_killed_primary_is_replaced_and_other_certificates_are_refused(tmp_path: Path) -> None:
    need("openssl", shutil.which("openssl"), "apt install openssl")
    known, other = (tls_servers.authority(tmp_path / name) for name in ("authority", "other"))
    with failovers(tmp_path, known) as servers:
        client = clients.client(servers.url, "tests")
        assert writes(client, "before")
        servers.kill_primary()
        eventually(lambda: writes(client, "after"), "writes are accepted again", 60)
        client.close()
        for mistaken in (
            servers.url.replace(str(known.root), str(other.root)),
            servers.url.partition("?")[0].replace("rediss", "redis"),
        ):
            stranger = clients.client(mistaken, "tests")
            with pytest.raises(redis.ConnectionError):
                stranger.ping()
            stranger.close()


def test_without_a_sentinel_every_command_fails_in_time_as_redis_away() -> None:
    client = clients.client("redis+sentinel://127.0.0.1:1,127.0.0.1:2/prices/0", "tests")
    with pytest.raises(redis.ConnectionError) as failed:
        client.ping()
    assert isinstance(translate(failed.value), RedisUnavailable)
    client.close()
