"""Published prices: versions that only grow, a history without gaps, nothing done twice."""

from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest

from shared.cache import sheets
from shared.catalogue import products
from shared.errors import NotFound
from shared.postgres.pools import Pool
from shared.prices import published
from shared.prices.history import PriceChange, price_changes
from shared.prices.new_versions import Cause
from shared.prices.published import Repriced
from shared.pricing.product import Tier
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import add_competitor, again, at_once, new_id, product, task_cause, write


@pytest.fixture
def product_id(pool: Pool, policy: ActivePolicy) -> str:
    """A product of 100.00 USD whose competitor asks 50.00: four steps of at most 20 % lead there."""
    product_id = new_id()
    write(pool, policy, product(product_id))
    with pool.connection() as conn:
        add_competitor(conn, product_id, "50.00")
    return product_id


def reprice(pool: Pool, policy: ActivePolicy, product_id: str, cause: Cause) -> Repriced:
    with pool.connection() as conn:
        return published.reprice(conn, [product_id], policy, cause)


def history(pool: Pool, product_id: str) -> list[PriceChange]:
    with pool.connection() as conn:
        return price_changes(conn, product_id, 1000)


def version_and_price(repriced: Repriced, product_id: str) -> tuple[int, Decimal]:
    sheet = sheets.sheet_of(repriced.sheets[product_id])
    return sheet.version, sheet.published_price


def test_a_new_product_gets_its_first_price_as_version_1(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    written = write(pool, policy, product(product_id))
    assert (written.changed, written.created) == ((product_id,), (product_id,))
    assert version_and_price(written, product_id) == (1, Decimal("100.00"))
    [first] = history(pool, product_id)
    assert (first.version, first.old_price, first.new_price, first.cause) == (1, None, Decimal("100.00"), "write")
    assert first.policy_version == policy.version


def test_a_product_written_as_it_stands_causes_no_work(pool: Pool, policy: ActivePolicy) -> None:
    tiers = (Tier(up_to=9, unit_price=Decimal("100.00")), Tier(up_to=None, unit_price=Decimal("80.00")))
    same = product(new_id(), tiers=tiers, cost=Decimal("60.00"), stock=4)
    write(pool, policy, same)
    assert write(pool, policy, same) == Repriced({}, (), ())
    assert len(history(pool, same.product_id)) == 1


def test_an_amount_with_other_zeros_is_the_same_amount(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id, base_price=Decimal("100.00")))
    assert write(pool, policy, product(product_id, base_price=Decimal("100"))).changed == ()


def test_a_change_that_no_sheet_shows_keeps_the_version(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    renamed = write(pool, policy, product(product_id, name="Another name"))
    assert (renamed.changed, version_and_price(renamed, product_id)[0]) == ((), 1)
    assert len(history(pool, product_id)) == 1


def test_a_change_of_what_a_sheet_shows_is_a_new_version_also_at_the_same_price(
    pool: Pool, policy: ActivePolicy
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    changed = write(pool, policy, product(product_id, tiers=(Tier(up_to=None, unit_price=Decimal("90.00")),)))
    assert (changed.changed, changed.created) == ((product_id,), ())
    assert version_and_price(changed, product_id) == (2, Decimal("100.00"))


def test_new_unchanged_and_changed_products_in_one_write(pool: Pool, policy: ActivePolicy) -> None:
    new, unchanged, changed = new_id(), new_id(), new_id()
    write(pool, policy, product(unchanged), product(changed))
    written = write(
        pool, policy, product(changed, base_price=Decimal("101.00")), product(new), product(unchanged)
    )  # fmt: skip
    assert set(written.changed) == {new, changed}
    assert written.created == (new,)
    assert unchanged not in written.sheets


def test_deciding_again_what_stands_keeps_its_version_and_adds_no_history(
    pool: Pool, policy: ActivePolicy, product_id: str
) -> None:
    for _ in range(4):
        reprice(pool, policy, product_id, task_cause())
    before = history(pool, product_id)
    second = reprice(pool, policy, product_id, task_cause())
    assert second.changed == ()
    assert version_and_price(second, product_id) == (before[0].version, Decimal("50.00"))
    assert history(pool, product_id) == before


def test_another_version_of_the_rulebook_that_decides_the_same_keeps_the_version(
    pool: Pool, policy: ActivePolicy
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    newer = msgspec.structs.replace(policy, version=policy.version + 1)
    repriced = reprice(pool, newer, product_id, task_cause())
    assert (repriced.changed, version_and_price(repriced, product_id)) == ((), (1, Decimal("100.00")))
    assert len(history(pool, product_id)) == 1


def test_a_task_that_comes_again_takes_no_second_step(pool: Pool, policy: ActivePolicy, product_id: str) -> None:
    cause = task_cause()
    first = reprice(pool, policy, product_id, cause)
    second = reprice(pool, policy, product_id, again(cause))
    assert version_and_price(first, product_id) == version_and_price(second, product_id) == (2, Decimal("80.00"))
    assert second.changed == ()
    assert version_and_price(reprice(pool, policy, product_id, task_cause()), product_id) == (3, Decimal("64.00"))


def test_a_task_that_comes_again_after_an_event_decides_what_the_event_left(
    pool: Pool, policy: ActivePolicy, product_id: str
) -> None:
    """The sheets are answered all the same, so that Redis gets what stands now."""
    cause = task_cause()
    reprice(pool, policy, product_id, cause)
    reprice(pool, policy, product_id, Cause("event", "e-1"))
    version, price = version_and_price(reprice(pool, policy, product_id, again(cause)), product_id)
    assert version >= 3
    assert price >= Decimal("50.00")


def test_decisions_at_once_follow_each_other_and_lose_nothing(
    pool: Pool, policy: ActivePolicy, product_id: str
) -> None:
    causes = [task_cause() for _ in range(4)]
    at_once([lambda cause=cause: reprice(pool, policy, product_id, cause) for cause in causes])  # type: ignore[misc]
    past = list(reversed(history(pool, product_id)))
    assert [change.version for change in past] == [1, 2, 3, 4, 5]
    assert [change.new_price for change in past] == [Decimal(x) for x in ("100.00", "80.00", "64.00", "51.20", "50.00")]
    assert [change.old_price for change in past[1:]] == [change.new_price for change in past[:-1]]
    assert {change.cause_id for change in past[1:]} == {cause.id for cause in causes}


def test_writes_of_overlapping_products_at_once_do_not_deadlock(pool: Pool, policy: ActivePolicy) -> None:
    ids = [new_id() for _ in range(40)]

    def job(price: str, order: list[str]) -> Repriced:
        return write(pool, policy, *(product(product_id, base_price=Decimal(price)) for product_id in order))

    at_once([lambda: job("100.00", ids), lambda: job("101.00", ids[::-1]), lambda: job("102.00", ids)])
    for product_id in ids:
        versions = [change.version for change in history(pool, product_id)]
        assert versions == list(range(len(versions), 0, -1))
    with pool.connection() as conn:
        assert len({products.view(conn, product_id).product.base_price for product_id in ids}) == 1


def test_a_product_in_another_currency_starts_anew_with_a_higher_version(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    moved = write(pool, policy, product(product_id, currency="JPY", base_price=Decimal("15000")))
    assert version_and_price(moved, product_id) == (2, Decimal("15000"))
    assert sheets.sheet_of(moved.sheets[product_id]).currency == "JPY"
    assert [change.currency for change in history(pool, product_id)] == ["JPY", "USD"]


def test_a_rival_in_the_old_currency_no_longer_counts(pool: Pool, policy: ActivePolicy, product_id: str) -> None:
    write(pool, policy, product(product_id, currency="JPY", base_price=Decimal("15000")))
    assert reprice(pool, policy, product_id, task_cause()).changed == ()


def test_unknown_products_are_passed_over(pool: Pool, policy: ActivePolicy, product_id: str) -> None:
    with pool.connection() as conn:
        repriced = published.reprice(conn, [new_id(), product_id, product_id], policy, task_cause())
        assert published.reprice(conn, [], policy, task_cause()) == Repriced({}, (), ())
    assert list(repriced.sheets) == [product_id]


def test_what_is_rolled_back_leaves_nothing(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    with pytest.raises(ZeroDivisionError), pool.connection() as conn:
        published.write_products(conn, [product(product_id)], policy, Cause("write", str(uuid4())))
        raise ZeroDivisionError
    with pool.connection() as conn, pytest.raises(NotFound):
        products.view(conn, product_id)


def test_the_sheet_in_the_table_is_the_decided_one(pool: Pool, policy: ActivePolicy, product_id: str) -> None:
    repriced = reprice(pool, policy, product_id, task_cause())
    with pool.connection() as conn:
        assert published.stored_sheets(conn, [product_id, new_id()]) == [repriced.sheets[product_id]]


def test_the_history_is_paged_newest_first(pool: Pool, policy: ActivePolicy, product_id: str) -> None:
    for _ in range(3):
        reprice(pool, policy, product_id, task_cause())
    with pool.connection() as conn:
        page = price_changes(conn, product_id, 2)
        rest = price_changes(conn, product_id, 10, (page[-1].at, page[-1].version))
        with pytest.raises(NotFound):
            price_changes(conn, new_id(), 10)
    assert [change.version for change in page + rest] == [4, 3, 2, 1]


def test_new_prices_stay_in_their_pages_so_that_the_index_of_prices_does_not_grow(
    pool: Pool, policy: ActivePolicy
) -> None:
    ids = [new_id() for _ in range(40)]
    write(pool, policy, *(product(product_id) for product_id in ids))

    def pages() -> dict[str, str]:
        query = "SELECT product_id, split_part(ctid::text, ',', 1) AS page FROM prices WHERE product_id = ANY(%s)"
        with pool.connection() as conn:
            return {row["product_id"]: row["page"] for row in conn.execute(query, [ids])}

    before = pages()
    changed = write(pool, policy, *(product(product_id, base_price=Decimal("90.00")) for product_id in ids)).changed
    after = pages()
    stayed = [product_id for product_id in ids if before[product_id] == after[product_id]]
    # Not all: an earlier test may have filled a page that had room.
    assert (len(changed), len(stayed) >= 30) == (40, True), stayed
