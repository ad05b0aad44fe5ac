"""A subscription on a real Redis: its messages, and how it notices that it is dead."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
import redis

from shared.messaging import clients
from shared.messaging.subscription import BATCH, DEAD_AFTER_S, PING_EVERY_S
from shared.messaging.subscription import Subscription as Subscription
from shared.settings import Settings
from tests.support.proxy import Proxy, proxy_to
from tests.support.waiting import eventually

SOON_S = 0.05
PONG_S = 30.0  # a call returns as soon as its pong is there


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stand:
    """A subscription to a channel of its own, through a proxy."""

    subscription: Subscription
    channel: str
    publisher: redis.Redis
    proxy: Proxy
    clock: Clock

    def publish(self, *messages: bytes) -> None:
        for message in messages:
            assert self.publisher.publish(self.channel, message) == 1, "there is not one subscriber"

    def taken(self, count: int) -> list[bytes]:
        """The next messages, once so many have come."""
        found: list[bytes] = []

        def look() -> bool:
            found.extend(self.subscription.take(SOON_S))
            return len(found) >= count

        eventually(look, f"{count} messages")
        return found

    def subscribed(self) -> None:
        """Take until Redis has the subscription."""

        def look() -> bool:
            self.subscription.take(SOON_S)
            return bool(self.publisher.pubsub_numsub(self.channel)[0][1])

        eventually(look, "Redis has the subscription")


@pytest.fixture
def stand(settings: Settings, cache: redis.Redis) -> Iterator[Stand]:
    name, clock = f"test-{uuid4()}", Clock()
    with proxy_to(settings.redis_for("events")) as proxy:
        client = clients.client(proxy.url(), "tests")
        subscription = Subscription(client, name, monotonic=clock)
        yield Stand(subscription, name, cache, proxy, clock)
        subscription.close()
        client.close()


def test_messages_come_in_their_order_and_nothing_else_does(stand: Stand) -> None:
    stand.subscribed()
    stand.publish(b"one", b"", b"\xff")
    stand.clock.now += PING_EVERY_S  # its pong is no message
    assert stand.taken(3) == [b"one", b"", b"\xff"]
    assert stand.subscription.take(SOON_S) == []


def test_a_call_takes_a_batch_at_most_and_the_next_one_the_rest(stand: Stand) -> None:
    stand.subscribed()
    sent = [b"%d" % number for number in range(BATCH + 1)]
    stand.publish(*sent)
    first = stand.subscription.take(SOON_S)
    assert 0 < len(first) <= BATCH
    assert first + stand.taken(len(sent) - len(first)) == sent


def test_a_message_that_comes_in_pieces_loses_nothing(stand: Stand) -> None:
    stand.subscribed()
    long = b"x" * 300_000
    stand.proxy.delay_s = 4 * SOON_S  # of each piece
    stand.publish(b"before", long, b"after")
    assert stand.taken(3) == [b"before", long, b"after"]
    assert stand.proxy.visits == 1


def test_what_came_before_the_connection_ended_is_taken(stand: Stand) -> None:
    stand.subscribed()
    stand.publish(b"one", b"two")
    assert stand.publisher.client_kill_filter(_type="pubsub")
    assert stand.taken(2) == [b"one", b"two"]


def test_it_is_up_from_the_first_call_until_it_is_closed(stand: Stand) -> None:
    seen = [stand.subscription.is_up]
    stand.subscribed()
    seen.append(stand.subscription.is_up)
    stand.subscription.close()
    assert [*seen, stand.subscription.is_up] == [False, True, False]
    eventually(lambda: not stand.publisher.pubsub_numsub(stand.channel)[0][1], "Redis has it no longer")
    stand.subscribed()
    stand.publish(b"again")
    assert stand.taken(1) == [b"again"]


def test_a_connection_that_ends_is_an_error_until_it_can_be_made_again(stand: Stand) -> None:
    stand.subscribed()
    stand.proxy.shut()
    with pytest.raises(redis.ConnectionError):
        eventually(lambda: stand.subscription.take(SOON_S), "it is noticed")
    assert not stand.subscription.is_up
    with pytest.raises(redis.ConnectionError):
        stand.subscription.take(SOON_S)
    stand.proxy.open()
    stand.subscribed()
    stand.publish(b"again")
    assert stand.taken(1) == [b"again"]


def test_a_connection_whose_bytes_vanish_is_dead_when_its_pong_is_overdue(stand: Stand) -> None:
    stand.subscribed()
    assert stand.proxy.black_hole(b"SUBSCRIBE") == 1
    stand.clock.now += PING_EVERY_S
    assert stand.subscription.take(SOON_S) == []
    stand.clock.now += DEAD_AFTER_S
    assert stand.subscription.take(SOON_S) == []
    assert stand.subscription.is_up
    stand.clock.now += 0.1
    with pytest.raises(redis.ConnectionError, match="no pong for 3 s"):
        stand.subscription.take(SOON_S)
    assert not stand.subscription.is_up


def test_an_idle_connection_is_kept_up_by_its_pongs(stand: Stand) -> None:
    stand.subscribed()
    for _ in range(10):
        stand.clock.now += PING_EVERY_S
        assert stand.subscription.take(PONG_S) == []
    assert stand.proxy.visits == 1


def test_a_pong_that_lay_there_while_the_caller_was_busy_counts(stand: Stand) -> None:
    stand.subscribed()
    stand.clock.now += PING_EVERY_S
    stand.subscription.take(0)
    stand.clock.now += 10 * DEAD_AFTER_S
    assert stand.subscription.take(PONG_S) == []
    assert stand.proxy.visits == 1


def test_a_server_that_refuses_is_an_error_of_the_connection(settings: Settings) -> None:
    client = redis.Redis.from_url(settings.redis_url.replace("//pricing:", "//pricing:wrong"), protocol=2)
    with pytest.raises(redis.ConnectionError, match=r"(?i)password|auth"):
        Subscription(client, "refused").take(SOON_S)
    client.close()
