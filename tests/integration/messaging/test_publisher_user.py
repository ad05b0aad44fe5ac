"""The Redis user that docs/events.md gives to publishers can publish market events, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from deploy.native import state
from shared.messaging.channel import MARKET_EVENTS, PRICE_CHANGES
from shared.settings import Settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "events.md"


@pytest.fixture
def publisher(servers: Settings) -> Iterator[redis.Redis]:
    found = re.search(r"^ACL SETUSER publisher .*$", PAGE.read_text(), re.MULTILINE)
    assert found
    own, password = state.load(servers.home_dir), uuid4().hex
    with redis.Redis.from_url(own.redis_admin_url(0)) as operator:
        operator.execute_command(*found[0].replace("PASSWORD", password).split())
        with redis.Redis(port=own.redis_port, username="publisher", password=password, protocol=2) as client:
            yield client
        operator.acl_deluser("publisher")


def test_a_publisher_publishes_market_events(publisher: redis.Redis) -> None:
    assert publisher.publish(MARKET_EVENTS, b"{}") == 0


@pytest.mark.parametrize(
    "command",
    [
        ("PUBLISH", PRICE_CHANGES, "{}"),
        ("SUBSCRIBE", MARKET_EVENTS),
        ("SET", "pricing:sheet:P-1", "9|{}"),
        ("GET", "pricing:sheet:P-1"),
        ("EVAL", "return 1", "0"),
        ("CONFIG", "GET", "dir"),
        ("SAVE",),
        ("FLUSHALL",),
        ("KEYS", "*"),
    ],
)
def test_a_publisher_does_nothing_else(publisher: redis.Redis, command: tuple[str, ...]) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        publisher.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py has no type here
