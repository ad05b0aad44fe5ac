"""Addresses of Redis behind Sentinel."""

import pytest

from shared import addresses, settings


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h1:26379,h2,h3/name/0",
        "redis+sentinel://user:p%40ss@h1,h2/name",
        "redis+sentinel://h1/name/3?sentinel_password=x",
    ],
)
def test_an_address_of_sentinels_is_accepted_and_the_broker_has_the_next_database(url: str) -> None:
    found = settings.load({"PRICING_HOME": "/nonexistent", "PRICING_REDIS_URL": url})
    cache, broker = (addresses.sentinels_of(found.redis_for(role)) for role in ("cache", "broker"))
    assert cache
    assert broker == cache._replace(database=cache.database + 1)
    assert not found.broker_shares_database


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h1,h2",
        "redis+sentinel:///name/0",
        "redis+sentinel://h1:0/name",
        "redis+sentinel://h1,/name/0",
        "redis+sentinel://h1/name/x",
        "redis+sentinel://h1/name/0?tls=1",
    ],
)
def test_an_incomplete_address_of_sentinels_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(settings.InvalidSettings, match=r"PRICING_REDIS_URL: .*redis\+sentinel://"):
        settings.load({"PRICING_HOME": "/nonexistent", "PRICING_REDIS_URL": url})
