"""The rulebook by versions."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeVar

import pytest
from msgspec.structs import replace

from shared.errors import InvalidInput, NotFound
from shared.postgres import pools
from shared.postgres.pools import AsyncPool, Conn
from shared.pricing.conditions import Condition
from shared.pricing.rulebook import NEUTRAL, MarketRules, Promotion, Rulebook
from shared.rulebook import store, values
from shared.rulebook.store import Loaded
from shared.rulebook.values import By, NewValue
from shared.settings import Settings

BY = By("ann", "test")
T = TypeVar("T")


def promotion(name: str, percent: str = "10") -> Promotion:
    return Promotion(id=name, percent=Decimal(percent))


def with_promotion(held: Rulebook, added: Promotion) -> Rulebook:
    return replace(held, promotions=(*held.promotions, added))


def reading(settings: Settings, test: Callable[[AsyncPool], Awaitable[T]]) -> T:
    async def within() -> T:
        async with pools.read_pool(settings, "tests", 1) as pool:
            return await test(pool)

    return asyncio.run(within())


def test_the_shipped_rulebook_is_neutral(conn: Conn) -> None:
    assert (store.active(conn).version, store.active(conn).rulebook) == (1, NEUTRAL)
    assert values.load(conn).multipliers == {}


def test_each_change_makes_a_version_and_keeps_the_old_ones(conn: Conn) -> None:
    made = store.change(conn, lambda held: with_promotion(held, promotion("spring")), BY)
    assert (made.version, made.author, made.cause) == (2, "ann", "test")
    assert store.active(conn) == made == store.by_version(conn, 2) == store.as_of(conn, made.at)
    first = store.by_version(conn, 1)
    assert first.rulebook == NEUTRAL
    assert store.as_of(conn, first.at) == first
    with pytest.raises(NotFound):
        store.by_version(conn, 3)
    with pytest.raises(NotFound):
        store.as_of(conn, first.at.replace(year=2000))


def test_a_change_that_says_the_same_makes_no_version(conn: Conn) -> None:
    made = store.publish(conn, replace(NEUTRAL, promotions=(promotion("spring", "10"),)), BY)
    again = store.publish(conn, replace(NEUTRAL, promotions=(promotion("spring", "10.00"),)), By("bob", "other"))
    assert again == made


def test_values_of_conditions_keep_their_types(conn: Conn) -> None:
    wanted = (Decimal("2.5"), 2, "2.5", True)
    conditions = tuple(Condition(attribute="attributes.size", eq=value) for value in wanted)
    written = replace(NEUTRAL, promotions=(replace(promotion("spring"), conditions=conditions),))
    store.publish(conn, written, BY)
    [read] = store.active(conn).rulebook.promotions
    assert [(type(condition.eq), condition.eq) for condition in read.conditions] == [
        (type(value), value) for value in wanted
    ]


def test_a_rulebook_that_contradicts_itself_is_refused(conn: Conn) -> None:
    twice = replace(NEUTRAL, promotions=(promotion("spring"), promotion("spring")))
    with pytest.raises(InvalidInput, match="unique") as refused:
        store.publish(conn, twice, BY)
    assert refused.value.path == "$.promotions[1].id"
    assert store.active(conn).version == 1


def test_writers_at_once_lose_no_change(own_settings: Settings) -> None:
    names = [f"p-{number}" for number in range(8)]
    start = threading.Barrier(len(names))

    def write(name: str) -> None:
        with pools.connect(own_settings, "tests") as conn:
            start.wait()
            store.change(conn, lambda held: with_promotion(held, promotion(name)), BY)

    threads = [threading.Thread(target=write, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pools.connect(own_settings, "tests") as conn:
        active = store.active(conn)
    assert active.version == 1 + len(names)
    assert sorted(made.id for made in active.rulebook.promotions) == names


def test_an_unchanged_rulebook_is_read_once(own_settings: Settings) -> None:
    def write(rows: list[NewValue], *added: Promotion) -> None:
        with pools.connect(own_settings, "tests") as conn:
            values.add(conn, rows, BY)
            store.publish(conn, replace(NEUTRAL, promotions=added, markets=NEUTRAL.markets | {"NY": MarketRules()}), BY)

    async def test(pool: AsyncPool) -> None:
        first = await store.load(pool)
        assert await store.load(pool, first) is first
        await asyncio.to_thread(write, [NewValue("multiplier", "NY", Decimal("1.1"))])
        second = await store.load(pool, first)
        assert (second.version, second.values.version) == (2, 1)
        await asyncio.to_thread(write, [NewValue("multiplier", "NY", Decimal("1.2"))])
        third = await store.load(pool, second)
        assert third.rulebook is second.rulebook
        assert third.values.multipliers["NY"][-1].value == Decimal("1.2")
        await asyncio.to_thread(write, [], promotion("spring"))
        last = await store.load(pool, third)
        assert (last.version, last.values) == (3, third.values)
        assert last.rulebook.promotions == (promotion("spring"),)
        # As after a restore: the same numbers, other contents.
        restored: Loaded = await store.load(pool, last._replace(mark=(3, last.mark[1], 2, None)))
        assert restored.values is not last.values

    reading(own_settings, test)
