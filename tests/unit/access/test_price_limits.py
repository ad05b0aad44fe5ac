"""Buckets of keys in memory that processes share."""

from pathlib import Path

from shared.access import price_limits
from shared.access.keys import LiveKey
from shared.access.price_limits import PriceLimits
from shared.access.rate_limits import BURST_S


def key(id_: int, per_s: int | None) -> LiveKey:
    return LiveKey(id_, "shop", frozenset({"prices:read"}), "", prices_per_s=per_s)


def passed(limits: PriceLimits, caller: LiveKey, times: int, queries: int = 1) -> int:
    taken = [limits.take(caller, queries) for _ in range(times)]
    return sum(each is None or not each.is_exceeded for each in taken)


def test_a_bucket_has_two_seconds_worth_and_fills_up_at_the_rate(tmp_path: Path) -> None:
    now = [1_000.0]
    limits = PriceLimits(tmp_path, lambda: now[0])
    assert passed(limits, key(1, 8), 100) == 8 * BURST_S
    for _ in range(50):
        now[0] += 0.125
        assert passed(limits, key(1, 8), 3) == 1
    now[0] += 1_000
    assert passed(limits, key(1, 8), 100) == 8 * BURST_S


def test_processes_share_a_bucket_and_keys_do_not(tmp_path: Path) -> None:
    one, other = (PriceLimits(tmp_path, lambda: 5.0) for _ in range(2))
    assert passed(one, key(1, 10), 15) + passed(other, key(1, 10), 15) == 10 * BURST_S
    assert passed(other, key(2, 10), 30) == 10 * BURST_S
    assert passed(one, key(3, None), 1_000) == 1_000


def test_each_query_of_a_batch_counts_and_the_first_refusal_says_how_long(tmp_path: Path) -> None:
    limits = PriceLimits(tmp_path, lambda: 5.0)
    batch = limits.take(key(1, 10), 500)
    assert batch is not None
    assert (batch.is_exceeded, batch.left) == (False, 0)
    refused = limits.take(key(1, 10), 1)
    assert refused is not None
    assert refused.headers() == {
        "ratelimit-policy": '"prices";q=20;w=2',
        "ratelimit": '"prices";r=0;t=50',
        "retry-after": "49",
    }


def test_a_new_start_has_full_buckets_and_leaves_the_former_processes_theirs(tmp_path: Path) -> None:
    former = PriceLimits(tmp_path, lambda: 5.0)
    assert passed(former, key(1, 10), 100) == 10 * BURST_S
    price_limits.prepare(tmp_path)
    assert passed(PriceLimits(tmp_path, lambda: 5.0), key(1, 10), 100) == 10 * BURST_S
    assert passed(former, key(1, 10), 100) == 0
