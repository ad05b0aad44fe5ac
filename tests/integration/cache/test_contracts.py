"""Contract prices: read by pair from PostgreSQL, kept in Redis for a moment, in no sheet and no process."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import cast

import msgspec
import pytest
import redis
from click.testing import CliRunner

from shared.access import idempotency
from shared.access.idempotency import Answer, Write
from shared.cache import commands, contracts
from shared.catalogue import price_lists
from shared.catalogue.price_lists import Contract, Pair
from shared.commands.__main__ import main
from shared.errors import DatabaseUnavailable
from shared.messaging import clients
from shared.postgres import arrays, pools
from shared.postgres.pools import Pool
from shared.pricing.entries import EntryInput, PriceEntry
from shared.settings import Settings
from tests.integration.cache.reader_stand import Stand, run
from tests.integration.cache.reader_stand import eventually as eventually_found
from tests.integration.catalogue_examples import new_id
from tests.support.waiting import eventually

ROWS = 200_000


def add(pool: Pool, *pairs: Pair, amount: str = "9.50") -> None:
    entries = [EntryInput(product_id=one, customer_id=other, amount=Decimal(amount)) for one, other in pairs]
    with pool.connection() as conn:
        price_lists.add(conn, "contracts", 0, [price_lists.row_of(entry, "contracts", 0, 0) for entry in entries])


def read(settings: Settings, pairs: Sequence[Pair]) -> dict[Pair, Contract]:
    async def reading() -> dict[Pair, Contract]:
        async with pools.read_pool(settings, "tests", size=1) as pool:
            return await price_lists.contracts(pool, pairs)

    return asyncio.run(reading())


def fill(settings: Settings, *found: Contract, age_ms: int = 0) -> None:
    with clients.client(settings.redis_for("cache"), "tests") as cache:
        commands.run(cache, contracts.filling(found, age_ms))


def test_contracts_are_read_by_pair_and_ids_with_colons_stay_apart(settings: Settings, pool: Pool) -> None:
    product_id = new_id()
    add(pool, (product_id, "a:b"), (f"{product_id}:a", "b"))
    asked = [(product_id, "a:b"), (f"{product_id}:a", "b"), (product_id, "b"), (product_id, "")]
    found = read(settings, asked)
    entry = PriceEntry(list="contracts", amount=Decimal("9.50"))
    assert [found[pair].entries for pair in asked] == [(entry,), (entry,), (), ()]
    assert contracts.key(*asked[0]) != contracts.key(*asked[1])


def test_a_cached_contract_is_that_pairs_alone_and_ends_by_itself(
    settings: Settings, cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = Contract(new_id(), "c-1", (PriceEntry(list="l", amount=Decimal(5)),))
    key = contracts.key(contract.product_id, "c-1")
    fill(settings, contract, age_ms=contracts.TTL_MS)
    assert cache.get(key) is None
    monkeypatch.setattr(contracts, "TTL_MS", 60_000)
    fill(settings, contract)
    value = cast(bytes, cache.get(key))
    assert contracts.decode(contract.product_id, "c-1", value) == contract
    for product_id, customer_id, held in (
        (contract.product_id, "c-2", value), (contract.product_id, "c-1", b"{"), ("x", "c-1", None)
    ):  # fmt: skip
        assert contracts.decode(product_id, customer_id, held) is None
    contracts.forget(cache, [(contract.product_id, "c-1")])
    assert cache.get(key) is None
    monkeypatch.setattr(contracts, "TTL_MS", 50)
    fill(settings, contract)
    eventually(lambda: cache.get(key) is None, "the contract ended")


def test_a_contract_is_found_with_either_server_away_and_never_taken_for_none(settings: Settings, pool: Pool) -> None:
    pair, other = (new_id(), "c-1"), (new_id(), "c-1")
    add(pool, pair)
    expected = {pair: (PriceEntry(list="contracts", amount=Decimal("9.50")),)}

    async def test(own: Stand) -> None:
        assert await own.contracts.find([pair]) == expected
        own.postgres.shut()
        assert await own.contracts.find([pair]) == expected
        with pytest.raises(DatabaseUnavailable):
            await own.contracts.find([other])
        own.postgres.open()
        own.redis.shut()

        async def answers() -> bool:
            with suppress(DatabaseUnavailable):
                return await own.contracts.find([pair, other]) == {**expected, other: ()}
            return False

        await eventually_found(answers, "PostgreSQL answers")

    run(settings, test)


def test_among_200_000_contracts_a_read_uses_the_index_and_a_customer_is_forgotten_by_one(
    settings: Settings, pool: Pool, cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = new_id()
    document = '{"list":"contracts","amount":"8"}'
    with pool.connection() as conn:
        with conn.cursor().copy(
            "COPY price_list_entries (list_id, revision, product_id, customer_id, ordinal, document) FROM STDIN"
        ) as copy:
            copy.write(
                "".join(
                    f"contracts\t0\t{mark}-{at % 1_000}\t{mark}-{at // 1_000}\t0\t{document}\n" for at in range(ROWS)
                )
            )
        conn.execute("ANALYZE price_list_entries")
    pairs = [(f"{mark}-{at}", f"{mark}-{at % 200}") for at in range(50)]
    assert all(len(contract.entries) == 1 for contract in read(settings, pairs).values())
    keys = {
        "product_ids": arrays.texts(pair[0] for pair in pairs),
        "customer_ids": arrays.texts(pair[1] for pair in pairs),
    }
    with pool.connection() as conn:
        plan = str(conn.execute(f"EXPLAIN (FORMAT JSON) {price_lists.CONTRACTS}".encode(), keys).fetchall())
        forgetting = str(
            conn.execute(
                "EXPLAIN DELETE FROM price_list_entries WHERE customer_id = 'x' AND customer_id <> ''"
            ).fetchall()
        )
    assert "price_list_entries_pkey" in plan
    assert "Seq Scan" not in plan
    assert "price_list_entries_by_customer" in forgetting

    customer = f"{mark}-7"
    monkeypatch.setattr(contracts, "TTL_MS", 60_000)
    fill(settings, *read(settings, [(f"{mark}-3", customer)]).values())
    write = Write("caller", "/api/v1/x", mark, b"f")
    body = msgspec.json.encode({"customer_id": customer})
    with pool.connection() as conn:
        number = idempotency.claim(conn, write)
        assert isinstance(number, int)
        idempotency.keep(conn, write, number, Answer(200, [], body))
    for name, value in (
        ("HOME", settings.home),
        ("DATABASE_URL", settings.database_url),
        ("REDIS_URL", settings.redis_url),
    ):
        monkeypatch.setenv(f"PRICING_{name}", value)
    monkeypatch.setattr("shared.telemetry.logs.configure", lambda *_: None)
    done = CliRunner().invoke(main, ["forget-customer", customer])
    assert (done.exit_code, "the entries of 1,000 products, 1 stored answer" in done.output) == (0, True), done.output
    assert read(settings, [(f"{mark}-3", customer)])[f"{mark}-3", customer].entries == ()
    assert cache.get(contracts.key(f"{mark}-3", customer)) is None
    with pool.connection() as conn:
        assert isinstance(idempotency.claim(conn, write), int)
        logged = conn.execute("SELECT request FROM audit_log ORDER BY id DESC LIMIT 1").fetchone()
        conn.execute("DELETE FROM price_list_entries WHERE list_id = 'contracts'")
    assert logged == {"request": "just forget-customer"}
