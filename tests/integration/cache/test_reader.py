"""The read path: Redis first, PostgreSQL for the rest."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
import redis

from shared.cache import sheets
from shared.cache.writer import SheetWriter
from shared.commands import demo
from shared.errors import DatabaseUnavailable
from shared.postgres.pools import AsyncPool, Pool
from shared.prices import published
from shared.prices.new_versions import StoredSheet
from shared.pricing.rulebook import PriceList, Rulebook
from shared.rulebook import store, values
from shared.rulebook.store import ActivePolicy, By
from shared.rulebook.values import NewValue
from shared.settings import Settings
from tests.integration.cache.reader_stand import TTL_S, Stand, eventually, run, sheet_in
from tests.integration.catalogue_examples import new_id, product, write


def test_a_sheet_comes_from_the_database_and_then_from_the_cache(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        first, terms = await own.reader.find([product_id])
        second, _ = await own.reader.find([product_id])
        assert (first[product_id].source, second[product_id].source) == ("database", "cache")
        assert sheet_in(first[product_id]) == sheet_in(second[product_id])
        assert all(terms.place(code) is not None for code in demo.MARKETS)

    run(settings, test)


def test_cached_and_uncached_products_are_found_together_and_unknown_ones_left_out(
    settings: Settings, pool: Pool, policy: ActivePolicy, product_id: str
) -> None:
    other = new_id()
    write(pool, policy, product(other))

    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        assert await own.sources(product_id, new_id(), other) == {product_id: "cache", other: "database"}
        assert await own.sources() == {}

    run(settings, test)


def test_a_product_that_is_asked_for_twice_at_once_is_found_once(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        assert await own.sources(product_id, product_id) == {product_id: "database"}
        answers = await asyncio.gather(*(own.reader.find([product_id, product_id]) for _ in range(50)))
        sheets_found = [sheet_in(found[product_id]) for found, _ in answers]
        assert sheets_found == [sheets_found[0]] * 50

    run(settings, test)


def test_everybody_gets_the_sheet_when_all_ask_a_cold_cache_at_once(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        answers = await asyncio.gather(*(own.sources(product_id) for _ in range(30)))
        assert all(set(answer) == {product_id} for answer in answers)
        assert await own.sources(product_id) == {product_id: "cache"}

    run(settings, test)


def test_a_change_of_rulebook_or_values_is_seen_within_a_moment(settings: Settings, pool: Pool) -> None:
    code = new_id()

    async def test(own: Stand) -> None:
        _, before = await own.reader.find([])
        assert before.place(code) is None
        with pool.connection() as conn:
            values.add(conn, [NewValue("multiplier", code, Decimal(2))], By("tests", "test"))

        async def is_seen() -> bool:
            _, now = await own.reader.find([])
            place = now.place(code)
            return place is not None and place.multiplier(datetime.now(UTC))[0] == Decimal(2)

        await eventually(is_seen, "the market is seen")
        _, after = await own.reader.find([])
        assert after.rules is before.rules
        with pool.connection() as conn:
            changed = store.change(conn, lambda book: with_list(book, code), By("tests", "test"))

        async def has_list() -> bool:
            _, now = await own.reader.find([])
            return now.rules.version == changed.version and code in now.rules.lists

        await eventually(has_list, "the price list is seen")

    run(settings, test)


def with_list(book: Rulebook, list_id: str) -> Rulebook:
    return msgspec.structs.replace(book, price_lists=(*book.price_lists, PriceList(id=list_id, kind="sale")))


def test_nothing_is_compiled_again_while_nothing_changes(settings: Settings) -> None:
    async def test(own: Stand) -> None:
        _, before = await own.reader.find([])
        await own.reader.rulebook.read()
        _, after = await own.reader.find([])
        assert after is before

    run(settings, test)


def test_a_thousand_who_ask_for_one_cold_product_cause_one_read_of_the_database(
    settings: Settings, product_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[list[str]] = []
    read_sheets = published.read_sheets

    async def counted(pool: AsyncPool, product_ids: Sequence[str]) -> list[StoredSheet]:
        reads.append(list(product_ids))
        return await read_sheets(pool, product_ids)

    monkeypatch.setattr(published, "read_sheets", counted)

    async def test(own: Stand) -> None:
        answers = await asyncio.gather(*(own.sources(product_id) for _ in range(1_000)))
        assert {answer[product_id] for answer in answers} == {"database"}
        assert reads == [[product_id]]

    run(settings, test)


def test_an_unknown_product_is_remembered_and_appears_at_once_when_it_is_created(
    settings: Settings, pool: Pool, policy: ActivePolicy, cache: redis.Redis
) -> None:
    product_id = new_id()

    async def test(own: Stand) -> None:
        assert await own.sources(product_id) == {}
        assert cache.mget(sheets.key(product_id), sheets.generation_key())[0] is not None
        assert 0 < cache.pttl(sheets.key(product_id)) <= sheets.ABSENCE_TTL_S * 1_100
        # Redis answers for the database.
        own.postgres.shut()
        assert await own.sources(product_id) == {}
        own.postgres.open()
        write(pool, policy, product(product_id))
        SheetWriter(cache, cache, TTL_S).created()

        async def is_found() -> bool:
            with suppress(DatabaseUnavailable):
                return await own.sources(product_id) == {product_id: "database"}
            return False

        await eventually(is_found, "it is found")
        assert await own.sources(product_id) == {product_id: "cache"}

    run(settings, test)


def test_a_creation_in_the_middle_of_a_look_up_is_not_forgotten(
    settings: Settings, pool: Pool, policy: ActivePolicy, cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow reader stores that a product is missing after the product was created; its entry is not used."""
    product_id = new_id()
    read_sheets = published.read_sheets

    async def slow(from_pool: AsyncPool, product_ids: Sequence[str]) -> list[StoredSheet]:
        found = await read_sheets(from_pool, product_ids)
        if not found:
            await asyncio.to_thread(write, pool, policy, product(product_id))
            await asyncio.to_thread(SheetWriter(cache, cache, TTL_S).created)
        return found

    monkeypatch.setattr(published, "read_sheets", slow)

    async def test(own: Stand) -> None:
        assert await own.sources(product_id) == {}
        assert await own.sources(product_id) == {product_id: "database"}

    run(settings, test)
