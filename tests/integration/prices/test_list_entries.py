"""Entries of price lists: rows by revision, and sheets that hold them without a new decision."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from shared.cache import sheets
from shared.catalogue import former_entries, price_lists
from shared.postgres.pools import Conn, Pool
from shared.prices import list_entries, published
from shared.prices.history import price_changes
from shared.prices.list_entries import TooManyEntries
from shared.prices.new_versions import Cause
from shared.pricing.entries import EntryInput
from shared.pricing.sheet import PriceSheet
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import add_competitor, new_id, product, task_cause, write


def entry(product_id: str, amount: str = "80", **fields: Any) -> EntryInput:
    return msgspec.convert({"product_id": product_id, "amount": amount, **fields}, EntryInput)


def write_entries(conn: Conn, list_id: str, revision: int, given: Sequence[EntryInput]) -> None:
    rows = [price_lists.row_of(one, list_id, revision, at) for at, one in enumerate(given)]
    pairs = {(row.product_id, row.customer_id): None for row in rows}
    price_lists.replace(conn, list_id, revision, pairs, rows)


def put(pool: Pool, list_id: str, *given: EntryInput, revision: int = 0) -> list_entries.Put:
    with pool.connection() as conn:
        write_entries(conn, list_id, revision, given)
        return list_entries.put(conn, [one.product_id for one in given], Cause("write", str(uuid4())))


def sheet_of(pool: Pool, product_id: str) -> PriceSheet:
    with pool.connection() as conn:
        [stored] = published.stored_sheets(conn, [product_id])
    return sheets.sheet_of(stored)


def test_a_sheet_gets_the_entries_and_a_version_without_a_new_decision(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    before = sheet_of(pool, product_id)
    wanted = entry(product_id, "79.5", **{"from": "2026-11-27", "zone": "Europe/Berlin"})
    [stored] = put(pool, "l", wanted).sheets
    after = sheet_of(pool, product_id)
    assert after.entries == (wanted.entry("l"),)
    assert after == msgspec.structs.replace(before, version=2, entries=after.entries)
    assert (stored.version, put(pool, "l", wanted).sheets) == (2, [])
    with pool.connection() as conn:
        newest, first = price_changes(conn, product_id, 9)
    assert (newest.version, newest.cause, newest.old_price) == (2, "write", newest.new_price)
    assert first.version == 1


def test_a_decision_keeps_the_entries_and_drops_those_of_former_revisions(pool: Pool, policy: ActivePolicy) -> None:
    product_id, list_id = new_id(), f"l-{new_id()}"
    write(pool, policy, product(product_id))
    put(pool, list_id, entry(product_id, "70"))
    put(pool, list_id, entry(product_id, "60"), revision=1)
    assert [one.revision for one in sheet_of(pool, product_id).entries] == [0, 1]
    with pool.connection() as conn:
        add_competitor(conn, product_id, "50.00")
        published.reprice(conn, [product_id], policy, task_cause())
    assert [one.revision for one in sheet_of(pool, product_id).entries] == [0, 1]
    with pool.connection() as conn:
        assert price_lists.next_revision(conn, list_id, 0) == 1
        price_lists.note_in_force(conn, list_id, 1)
    with pool.connection() as conn:
        assert published.reprice(conn, [product_id], policy, task_cause()).changed
    assert [one.revision for one in sheet_of(pool, product_id).entries] == [1]


def test_rows_of_replaced_revisions_and_deleted_lists_are_purged_unless_a_request_has_them(pool: Pool) -> None:
    replaced, deleted, first, loading = lists = [f"{new_id()}-{n}" for n in range(4)]
    product_id = new_id()

    def left() -> dict[str, list[int]]:
        with pool.connection() as conn:
            query = b"SELECT list_id, revision FROM price_list_entries WHERE product_id = %s ORDER BY revision"
            rows = conn.execute(query, [product_id]).fetchall()
        return {each: [row["revision"] for row in rows if row["list_id"] == each] for each in lists}

    with pool.connection() as conn:
        for list_id, revision in ((replaced, 0), (replaced, 1), (deleted, 0), (first, 0), (loading, 0), (loading, 1)):
            write_entries(conn, list_id, revision, [entry(product_id)])
        for list_id in (replaced, deleted):
            price_lists.note_in_force(conn, list_id, price_lists.next_revision(conn, list_id, 0))
        price_lists.next_revision(conn, loading, 0)
    kept = {replaced: [1], deleted: [], first: [0], loading: [0, 1]}
    with pool.connection() as request, pool.connection() as conn:
        request.execute("SELECT FROM price_list_entries WHERE list_id = %s AND revision = 0 FOR UPDATE", [replaced])
        former_entries.purge(conn, 1_000, keeps_days=0)
        conn.commit()
        assert left() == kept | {replaced: [0, 1]}
    with pool.connection() as conn:
        assert former_entries.purge(conn, 1_000, keeps_days=0) == 1
    assert left() == kept


def test_a_sheet_that_cannot_be_read_is_replaced_by_one_with_its_entries(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    put(pool, "l", entry(product_id))
    with pool.connection() as conn:
        conn.execute("UPDATE prices SET sheet = 'x' WHERE product_id = %s", [product_id])
        assert [one.product_id for one in list_entries.put(conn, [product_id], task_cause()).failed] == [product_id]
        published.reprice(conn, [product_id], policy, task_cause())
    assert len(sheet_of(pool, product_id).entries) == 1


def test_a_deleted_product_takes_its_entries_with_it(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    put(pool, "l", entry(product_id), entry(product_id, customer_id="c"))
    with pool.connection() as conn:
        published.delete(conn, product_id)
    write(pool, policy, product(product_id))
    assert sheet_of(pool, product_id).entries == ()


def test_a_product_has_at_most_64_entries_for_everyone_in_force(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    many = [entry(product_id, str(at + 1)) for at in range(64)]
    put(pool, "l", *many)
    put(pool, "l", *many, revision=1)
    put(pool, "l", *(entry(product_id, customer_id=f"c-{at}") for at in range(9)))
    with pytest.raises(TooManyEntries) as refused:
        put(pool, "other", entry(product_id))
    assert refused.value.product_ids == [product_id]


amounts = some.decimals(0, 999_999, places=6).map(str)
windows = some.sampled_from(
    [
        {},
        {"from": "2026-11-27T00:00:00", "until": "2026-12-01", "zone": "Europe/Berlin"},
        {"until": "2027-01-01T00:00Z"},
    ]
)
tiers = some.builds(
    lambda mode, first, last: {
        "tier_mode": mode,
        "tiers": [
            {"from": "2", "up_to": "9.5", "unit_price": first, **({"package_size": "6"} if mode == "package" else {})},
            {"unit_price": last, "flat_fee": "1", **({"package_size": "6"} if mode == "package" else {})},
        ],
    },
    some.sampled_from(["volume", "graduated", "package"]),
    amounts,
    amounts,
)
prices: some.SearchStrategy[dict[str, Any]] = some.fixed_dictionaries({"amount": amounts}) | tiers
entries = some.builds(
    lambda product, customer, price, window: {"product_id": product, "customer_id": customer, **price, **window},
    some.sampled_from("ABC"),
    some.sampled_from([None, "c-1", "c-2"]),
    prices,
    windows,
)
writes = some.lists(some.tuples(some.sampled_from(["l", "m"]), some.lists(entries, min_size=1, max_size=5)), max_size=6)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes)
def test_entries_read_back_equal_those_written_in_any_order(
    pool: Pool, policy: ActivePolicy, writes: list[tuple[str, list[dict[str, Any]]]]
) -> None:
    """The last write of a product and customer in a list counts, and the sheet holds what everyone gets."""
    mark = new_id()
    ids = [f"{name}-{mark}" for name in "ABC"]
    write(pool, policy, *(product(product_id) for product_id in ids))
    expected: dict[tuple[str, str, str | None], list[EntryInput]] = {}
    for name, documents in writes:
        named = [{**one, "product_id": f"{one['product_id']}-{mark}"} for one in documents]
        given = [msgspec.convert(one, EntryInput) for one in named]
        put(pool, f"{name}-{mark}", *given)
        for one in given:
            expected[name, one.product_id, one.customer_id] = []
        for one in given:
            expected[name, one.product_id, one.customer_id].append(one)
    for name in ("l", "m"):
        with pool.connection() as conn:
            found = [one for _, one in price_lists.page(conn, f"{name}-{mark}", 0, None, 1000, None)]
        wanted = [value for key, values in expected.items() if key[0] == name for value in values]
        assert sorted(map(repr, found)) == sorted(map(repr, wanted))
    for product_id in ids:
        listed = [
            one.entry(f"{name}-{mark}") for name in ("l", "m") for one in expected.get((name, product_id, None), [])
        ]
        assert sheet_of(pool, product_id).entries == tuple(listed)
        assert sheet_of(pool, product_id).published_price == Decimal(100)
