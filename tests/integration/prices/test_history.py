"""The history keeps every version of a sheet: each is found again by its time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from shared.catalogue import price_lists
from shared.catalogue.price_lists import EntryRow
from shared.errors import NoHistory, NotFound, UnusableProduct
from shared.postgres import partitions, pools
from shared.postgres.pools import Conn, Pool
from shared.prices import history, list_entries, published
from shared.prices.packing import packed, unpacked
from shared.pricing.entries import PriceEntry
from shared.pricing.sheet import PriceSheet
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.catalogue_examples import add_competitor, new_id, product, stored, task_cause, write


def now(pool: Pool) -> datetime:
    with pool.connection() as conn:
        row = conn.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row
    return row["now"]  # type: ignore[no-any-return] # a row


def sheet(conn: Conn, product_id: str) -> PriceSheet:
    [current] = published.stored_sheets(conn, [product_id])
    return history._sheet.decode(current.json)


def test_every_version_is_found_by_its_time_with_entries_and_deletions(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    seen: list[tuple[datetime, PriceSheet | None]] = [(now(pool), None)]

    def note() -> None:
        with pool.connection() as conn:
            current = sheet(conn, product_id)
        seen.append((now(pool), current))

    for price in ("100", "90"):
        write(pool, policy, product(product_id, base_price=Decimal(price)))
        note()
    with pool.connection() as conn:
        add_competitor(conn, product_id, "50.00")
    for _ in range(2):
        with pool.connection() as conn:
            published.reprice(conn, [product_id], policy, task_cause())
        note()
    entry = PriceEntry(list="wholesale", amount=Decimal(7))
    with pool.connection() as conn:
        document = '{"list":"wholesale","amount":"7"}'
        price_lists.add(conn, "wholesale", 0, [EntryRow(product_id, "", 0, document)])
        list_entries.put(conn, [product_id], task_cause())
    note()
    with pool.connection() as conn:
        published.delete(conn, product_id)
    seen.append((now(pool), None))
    write(pool, policy, product(product_id, base_price=Decimal(80)))
    note()
    versions = [None if known is None else known.version for _, known in seen]
    assert versions == [None, 1, 2, 3, 4, 5, None, 7]
    assert [known.entries for _, known in seen if known] == [(), (), (), (), (entry,), ()]
    with pool.connection() as conn:
        for at, known in seen:
            if known is None:
                with pytest.raises(NotFound):
                    history.sheet_as_of(conn, product_id, at)
            else:
                assert history.sheet_as_of(conn, product_id, at) == known


def test_a_change_costs_less_than_a_kilobyte(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    with pool.connection() as conn:
        add_competitor(conn, product_id, "50.00")
    for _ in range(3):
        with pool.connection() as conn:
            assert published.reprice(conn, [product_id], policy, task_cause()).changed
    with pool.connection() as conn:
        query = "SELECT max(pg_column_size(h.*)) AS n FROM price_history h WHERE product_id = %s"
        row = conn.execute(query, [product_id]).fetchone()
    assert row
    assert row["n"] < 500, "the row; its entry in the index takes a tenth of that"


def test_a_row_of_a_release_before_has_no_sheet(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    at = now(pool)
    write(pool, policy, product(product_id, base_price=Decimal(90)))
    with pool.connection() as conn:
        conn.execute("UPDATE price_history SET old_sheet = NULL WHERE product_id = %s", [product_id])
        with pytest.raises(NoHistory):
            history.sheet_as_of(conn, product_id, at)


def test_a_dropped_month_takes_no_sheet_of_a_kept_instant(migrated_database: Callable[[], Settings]) -> None:
    settings = migrated_database()
    today, product_id = datetime(2026, 11, 26, tzinfo=UTC), new_id()
    with pools.pool(settings, "tests", size=2) as pool:
        with pool.connection() as conn:
            rulebook.ensure_default(conn)
            policy = rulebook.active_policy(conn)
        write(pool, policy, product(product_id))
        with pool.connection() as conn:
            first = sheet(conn, product_id)
        write(pool, policy, product(product_id, base_price=Decimal(90)))
        with pool.connection() as conn:
            conn.execute("UPDATE price_history SET recorded_at = '2026-08-01T00:00Z' WHERE version = 1")
            conn.execute("UPDATE price_history SET recorded_at = '2026-11-20T00:00Z' WHERE version = 2")
        partitions.maintain(pool, settings, datetime(2026, 8, 2, tzinfo=UTC))
        for _ in range(2):
            partitions.maintain(pool, settings, today)
        partitions.maintain(pool, msgspec.structs.replace(settings, history_days=31), today)
        with pool.connection() as conn:
            rows = conn.execute("SELECT tableoid::regclass::text AS part, version FROM price_history").fetchall()
            assert [(row["part"], row["version"]) for row in rows] == [("price_history_2026_11", 2)]
            assert history.sheet_as_of(conn, product_id, today - timedelta(days=31)) == first
            assert history.sheet_as_of(conn, product_id, today).version == 2


def test_packed_sheets_of_long_ago_are_read() -> None:
    """Rows are kept for years: the form never changes."""
    text = stored("P-1", steps=()).json
    assert unpacked(packed(text)).decode() == text
    assert unpacked(b'{"product_id":"P-1"}') == b'{"product_id":"P-1"}'
    for form in FORMS:
        assert unpacked(bytes.fromhex(form)) == b'{"product_id":"P-100","version":7,"list_price":"19.90"}'
    with pytest.raises(UnusableProduct, match="cannot be read"):
        unpacked(bytes.fromhex(FORMS[1])[:9])


FORMS = ("02ab56424b5b86609be089c81c3d8958ea5902630800", "03370000000d5c0211316a000558021c37230260392e3930227d")
