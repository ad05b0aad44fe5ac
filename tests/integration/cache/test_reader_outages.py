"""An answer while Redis or PostgreSQL is away, and their use once they are back."""

import asyncio
import time
from collections.abc import Callable

import psycopg
import pytest

from shared.cache import breaker
from shared.commands import demo
from shared.errors import DatabaseUnavailable
from shared.postgres import migrations, pools
from shared.rulebook import store as rulebook
from shared.settings import Settings
from tests.integration.cache.reader_stand import Stand, eventually, run
from tests.integration.catalogue_examples import new_id


def test_without_redis_the_database_answers(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.redis.shut()
        assert await own.sources(product_id) == {product_id: "database"}
        assert await own.reader.cached_version(product_id) is None

    run(settings, test)


def test_where_nothing_listens_in_place_of_redis_the_database_answers(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        own.redis.close()
        for _ in range(breaker.FAILURES + 3):
            assert await own.sources(product_id) == {product_id: "database"}

    run(settings, test)


def test_a_redis_that_is_away_is_asked_once_a_second_at_most(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.redis.shut()
        started, before = time.monotonic(), own.redis.visits
        for _ in range(200):
            assert await own.sources(product_id) == {product_id: "database"}
        periods = int((time.monotonic() - started) / breaker.OPEN_S) + 1
        # What a query asks: a look-up; where that one is the last to fail, nothing more.
        assert own.redis.visits - before <= breaker.FAILURES + periods

    run(settings, test)


def test_when_redis_is_back_the_cache_is_used_again(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        own.redis.shut()
        for _ in range(breaker.FAILURES + 3):
            await own.reader.find([product_id])
        own.redis.open()

        async def is_cached() -> bool:
            return await own.sources(product_id) == {product_id: "cache"}

        await eventually(is_cached, "the cache is used again")

    run(settings, test)


def test_without_the_database_what_is_cached_is_answered_and_what_is_not_is_unavailable(
    settings: Settings, product_id: str
) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.postgres.shut()
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await own.reader.find([product_id, new_id()])
        found, terms = await own.reader.find([product_id])
        assert found[product_id].source == "cache"
        assert terms.place("NY") is not None

    run(settings, test)


def test_when_the_database_is_back_it_is_asked_again(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([])
        own.postgres.shut()
        for _ in range(breaker.FAILURES + 1):
            with pytest.raises(DatabaseUnavailable):
                await own.reader.find([product_id])
        own.postgres.open()

        async def answers() -> bool:
            try:
                return bool(await own.sources(product_id))
            except DatabaseUnavailable:
                return False

        await eventually(answers, "the database answers again")

    run(settings, test)


def test_with_both_away_it_is_one_error(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.redis.shut()
        own.postgres.shut()
        with pytest.raises(DatabaseUnavailable):
            await own.reader.find([product_id])

    run(settings, test)


@pytest.mark.usefixtures("held_for_long")
def test_what_is_held_needs_neither_redis_nor_the_database(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.redis.shut()
        own.postgres.shut()
        assert await own.sources(product_id) == {product_id: "cache"}
        held = own.reader.held(product_id)
        assert held is not None
        assert held.bound.sheet.product_id == product_id

    run(settings, test, near_entries=10)


def test_a_process_that_was_there_before_the_schema_reads_when_it_has_come(
    new_database: Callable[[], Settings],
) -> None:
    settings = new_database()

    def migrate() -> None:
        migrations.migrate(settings)
        with pools.connect(settings, "tests") as conn:
            rulebook.ensure_default(conn)
            demo.ensure_markets(conn)

    async def test(own: Stand) -> None:
        with pytest.raises((DatabaseUnavailable, psycopg.errors.UndefinedTable)):
            await own.reader.find([new_id()])
        await asyncio.to_thread(migrate)

        async def answers() -> bool:
            try:
                _, found = await own.reader.find([])
            except (DatabaseUnavailable, psycopg.errors.UndefinedTable):
                return False
            return found.rules.version > 0

        await eventually(answers, "the rulebook is read")

    run(settings, test)
