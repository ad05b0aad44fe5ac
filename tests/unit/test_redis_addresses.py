"""Addresses of Redis behind Sentinel, and of clusters."""

import pytest

from shared import addresses, settings


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h1:26379,h2,h3/name/0",
        "redis+sentinel://user:p%40ss@h1,h2/name",
        "redis+sentinel://h1/name/3?sentinel_password=x",
        "rediss+sentinel://h1,h2/name/0?ssl_check_hostname=false&sentinel_password=x",
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
        "redis+sentinel://h1/name/0?ssl_check_hostname=false",
        "rediss+sentinel://h1/name/0?ssl_unknown=1",
    ],
)
def test_an_incomplete_address_of_sentinels_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(settings.InvalidSettings, match=r"PRICING_REDIS_URL: .*redis\+sentinel://"):
        settings.load({"PRICING_HOME": "/nonexistent", "PRICING_REDIS_URL": url})


@pytest.mark.parametrize(
    ("url", "pairs"),
    [
        ("redis+cluster://h1:7000,h2", [("h1", 7000), ("h2", 6379)]),
        ("redis+cluster://user:p%40ss@[::1]:7000/0", [("::1", 7000)]),
        ("rediss+cluster://h1?ssl_cert_reqs=none", [("h1", 6379)]),
    ],
)
def test_a_cluster_is_accepted_for_the_cache(url: str, pairs: list[tuple[str, int]]) -> None:
    found = settings.load({"PRICING_HOME": "/nonexistent", "PRICING_CACHE_URL": url})
    hosts = addresses.cluster_of(found.redis_for("cache"))
    assert hosts
    assert hosts.pairs == pairs
    assert not found.broker_shares_database


@pytest.mark.parametrize(
    "url", ["redis+cluster://", "redis+cluster://h1/1", "redis+cluster://h1:x", "redis+cluster://h1?db=0"]
)
def test_an_incomplete_address_of_a_cluster_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(settings.InvalidSettings, match=r"PRICING_CACHE_URL: .*redis\+cluster://"):
        settings.load({"PRICING_HOME": "/nonexistent", "PRICING_CACHE_URL": url})


@pytest.mark.parametrize("name", ["PRICING_REDIS_URL", "PRICING_BROKER_URL", "PRICING_EVENTS_URL"])
def test_a_cluster_for_broker_or_channels_is_refused_with_the_setting_that_mends_it(name: str) -> None:
    with pytest.raises(settings.InvalidSettings, match=rf"{name}: cannot be a cluster.*set PRICING_CACHE_URL"):
        settings.load({"PRICING_HOME": "/nonexistent", name: "redis+cluster://h1"})
