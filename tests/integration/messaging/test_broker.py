"""The broker strands no message when a reply of Redis is lost, and an idle consumer waits for messages in Redis."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import uuid4

import pytest
import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed

from shared.messaging import broker
from tests.support.waiting import eventually

QUEUE = "tests"


class LossyClient(redis.Redis):
    """Passes everything on, and loses the reply to one command where it is told so."""

    lost: str | None = None
    refused: tuple[str, str] | None = None

    def lose(self, command: str) -> None:
        self.lost = command

    def refuse(self, command: str, reply: str) -> None:
        self.refused = command, reply

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        if self.refused is not None and self.refused[0] in keys_and_args:
            (_, reply), self.refused = self.refused, None
            raise redis.ResponseError(reply)
        reply = super().evalsha(sha, numkeys, *keys_and_args)
        if self.lost is not None and self.lost in keys_and_args:
            self.lost = None
            raise redis.TimeoutError("the reply was lost")
        return reply


@pytest.fixture
def client(cache: redis.Redis) -> Iterator[LossyClient]:
    lossy = LossyClient(connection_pool=cache.connection_pool)
    yield lossy
    for key in cache.scan_iter(f"{broker.NAMESPACE}*"):
        cache.delete(key)


@pytest.fixture
def quick(client: LossyClient, monkeypatch: pytest.MonkeyPatch) -> RedisBroker:
    """A broker for which a worker is gone after 0.3 s, and that looks for such ones at each command."""
    monkeypatch.setattr(broker, "HEARTBEAT_TIMEOUT_MS", 300)
    monkeypatch.setattr(broker, "MAINTENANCE_PER_MILLION", 1_000_000)
    return cast(RedisBroker, broker.create(client))


def send(queue: RedisBroker) -> str:
    message: Message[None] = Message(QUEUE, "nobody", (), {}, {}, message_id=str(uuid4()))
    queue.enqueue(message)
    return message.message_id


def fetched(consumer: Any) -> Callable[[], Any]:
    def look() -> Any:
        return next(consumer)

    return look


def left(client: redis.Redis) -> int:
    return client.hlen(f"{broker.NAMESPACE}:{QUEUE}.msgs")


def test_a_message_whose_fetch_was_not_answered_is_given_out_again(quick: RedisBroker, client: LossyClient) -> None:
    message_id = send(quick)
    consumer: Any = quick.consume(QUEUE, timeout=20)
    client.lose("fetch")
    with pytest.raises(Exception, match="lost"):
        next(consumer)
    message = eventually(fetched(quick.consume(QUEUE, timeout=20)), "the message is given out again")
    assert message.message_id == message_id
    consumer.ack(message)
    assert left(client) == 0


def test_an_acknowledgement_without_an_answer_can_be_repeated(quick: RedisBroker, client: LossyClient) -> None:
    send(quick)
    consumer: Any = quick.consume(QUEUE, timeout=20)
    message = eventually(fetched(consumer), "the message is given out")
    name = quick.broker_id
    client.lose("ack")
    with pytest.raises(Exception, match="lost"):
        consumer.ack(message)
    consumer.ack(message)
    assert left(client) == 0
    assert quick.broker_id == name


def test_maintenance_finds_the_messages_of_crashed_workers_without_passing_over_all_keys(
    client: LossyClient, quick: RedisBroker
) -> None:
    """Messages that a crashed worker held of two queues: maintenance of one queue does not forget the other."""
    crashed = cast(RedisBroker, broker.create(client))
    held = {}
    for queue in (broker.EVENTS_QUEUE, broker.TASKS_QUEUE):
        message: Message[None] = Message(queue, "nobody", (), {}, {}, message_id=str(uuid4()))
        crashed.enqueue(message)
        held[queue] = eventually(fetched(crashed.consume(queue, timeout=20)), "it is fetched").message_id
    before = key_scans(client)
    for queue, message_id in held.items():
        again = eventually(fetched(quick.consume(queue, timeout=20)), "it is given out again")
        assert again.message_id == message_id
    heartbeats = f"{broker.NAMESPACE}:__heartbeats__"
    look: Any = quick.consume(broker.EVENTS_QUEUE, timeout=20)
    eventually(lambda: [next(look), client.zscore(heartbeats, crashed.broker_id)][1] is None, "it is forgotten")
    assert key_scans(client) == before


@pytest.mark.parametrize(
    "refusal", ["OOM command not allowed", "READONLY You can't write against a read only replica."]
)
def test_an_acknowledgement_that_redis_refused_can_be_repeated(
    quick: RedisBroker, client: LossyClient, refusal: str
) -> None:
    send(quick)
    consumer: Any = quick.consume(QUEUE, timeout=20)
    message = eventually(lambda: next(consumer), "it is fetched")
    client.refuse("ack", refusal)
    with pytest.raises(ConnectionClosed):
        consumer.ack(message)
    consumer.ack(message)
    assert left(client) == 0


def test_a_message_ends_the_wait_of_an_idle_consumer(quick: RedisBroker, client: LossyClient) -> None:
    consumer: Any = quick.consume(QUEUE, timeout=20)
    assert next(consumer) is None
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(lambda: next(message for message in consumer if message is not None))
        try:
            eventually(lambda: client.info("clients")["blocked_clients"], "it waits in Redis")
        finally:
            message_id = send(quick)
        assert found.result().message_id == message_id


def test_messages_keep_their_order_while_consumers_wait(quick: RedisBroker) -> None:
    consumer: Any = quick.consume(QUEUE, prefetch=3, timeout=20)
    assert next(consumer) is None
    sent = [send(quick) for _ in range(3)]
    assert [next(consumer).message_id for _ in sent] == sent


def test_a_consumer_whose_threads_are_all_at_work_does_not_wait_for_more(
    quick: RedisBroker, client: LossyClient
) -> None:
    consumer: Any = quick.consume(QUEUE, prefetch=1, timeout=20)
    for _ in range(2):
        send(quick)
    at_work = eventually(lambda: next(consumer), "it is fetched")
    waits = calls(client, "blmove")
    assert [next(consumer) for _ in range(3)] == [None] * 3
    assert calls(client, "blmove") == waits
    consumer.ack(at_work)


def test_another_script_of_dramatiq_is_refused() -> None:
    with pytest.raises(RuntimeError, match="has changed"):
        broker.without_keys("return 1")


def key_scans(client: redis.Redis) -> int:
    return calls(client, "keys")


def calls(client: redis.Redis, command: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))
