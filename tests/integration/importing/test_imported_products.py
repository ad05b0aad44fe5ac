"""An import counts, prices and publishes its products, and is all or nothing."""

from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import pytest

from shared.catalogue import products
from shared.errors import NotFound
from shared.importing import writing
from shared.postgres.pools import Pool
from shared.prices import new_versions, published, repricing_queue
from shared.prices.history import price_changes
from shared.rulebook import store
from tests.integration.catalogue_examples import add_competitor, at_once, new_id, task_cause
from tests.integration.importing.import_results import Writing, counts, stored
from tests.integration.importing_examples import HEADER, imported


def publications(pool: Pool, product_id: str) -> int:
    query = "SELECT count(*) AS n FROM tasks WHERE kind = 'cache_sync' AND product_set->'product_ids' ? %s"
    with pool.connection() as conn:
        row = conn.execute(query, [product_id]).fetchone()
    return int(row["n"]) if row else 0


def test_new_changed_and_unchanged_products_are_counted(pool: Pool, file: Writing) -> None:
    one, two, three = new_id(), new_id(), new_id()
    path = file(f"{HEADER}\n{one},Kettle,USD,1.00\n{two},Lamp,USD,2.00\n")
    assert counts(imported(pool, path)) == "2 rows: 2 new, 0 changed, 0 unchanged, 0 rejected"
    again = imported(pool, path)
    assert (again.code, counts(again)) == (0, "2 rows: 0 new, 0 changed, 2 unchanged, 0 rejected")
    assert publications(pool, one) == 0
    done = imported(pool, file(f"{HEADER}\n{one},Kettle,USD,1.10\n{two},Lamp,USD,2.00\n{three},New,USD,3\n"))
    assert counts(done) == "3 rows: 1 new, 1 changed, 1 unchanged, 0 rejected"
    assert [publications(pool, product_id) for product_id in (one, two, three)] == [1, 0, 0]
    assert stored(pool, one).base_price == Decimal("1.10")


@pytest.mark.parametrize("rows", [1, 30])
def test_an_event_that_came_before_its_product_is_due_with_the_import(pool: Pool, file: Writing, rows: int) -> None:
    early, others = new_id(), [new_id() for _ in range(rows - 1)]
    with pool.connection() as conn:
        repricing_queue.make_due(conn, [early])
        conn.execute("UPDATE repricing_queue SET due_at = now() + interval '1 hour' WHERE target = %s", [early])
    imported(pool, file("\n".join([HEADER, *(f"{one},Kettle,USD,1.00" for one in (early, *others))])))
    with pool.connection() as conn:
        assert [one.target for one in repricing_queue.take_due(conn, [early])] == [early]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("Desk,USD,60.00,books,", "60.00"),  # the list price, far further than a step
        ("Desk,USD,100.00,electronics,", "55.00"),  # the competitor's price, by the new category
        ("Desk,USD,100.00,books,150.00", "157.50"),  # cost and margin
    ],
)
def test_an_import_that_changes_the_target_is_published_at_once_as_a_persons_write(
    pool: Pool, file: Writing, row: str, expected: str
) -> None:
    product_id, columns = new_id(), f"{HEADER},category,cost"
    imported(pool, file(f"{columns}\n{product_id},Desk,USD,100.00,books,\n"))
    with pool.connection() as conn:
        add_competitor(conn, product_id, "55.00")
    imported(pool, file(f"{columns}\n{product_id},{row}\n"))
    with pool.connection() as conn:
        [last, _] = price_changes(conn, product_id, 9)
    assert (str(last.new_price), last.cause) == (expected, "import")


def test_an_import_of_another_name_leaves_a_price_on_its_way(pool: Pool, file: Writing) -> None:
    product_id, columns = new_id(), f"{HEADER},category"
    imported(pool, file(f"{columns}\n{product_id},Desk,USD,100.00,electronics\n"))
    with pool.connection() as conn:
        add_competitor(conn, product_id, "55.00")
        published.reprice(conn, [product_id], store.active_policy(conn), task_cause())
    imported(pool, file(f"{columns}\n{product_id},A desk,USD,100.00,electronics\n"))
    with pool.connection() as conn:
        assert [str(change.new_price) for change in price_changes(conn, product_id, 9)] == ["80.00", "100.00"]


def test_a_first_price_is_the_one_that_any_other_write_would_decide(pool: Pool, file: Writing) -> None:
    tiers = '"[{""up_to"": 9, ""unit_price"": ""9.50""}, {""up_to"": null, ""unit_price"": ""9""}]"'
    columns = f"{HEADER},category,cost,stock,min_price,max_price,strategy,tiers"
    for strategy in ("match", "list_price"):
        one, two = new_id(), new_id()
        path = file(f"{columns}\n{one},Ket\\tle,USD,10.00,home,9.90,3,1,20,{strategy},{tiers}\n")
        assert imported(pool, path).code == 0
        with pool.connection() as conn:
            twin = products.view(conn, one).product
            twin = msgspec.structs.replace(twin, product_id=two)
            policy = store.active_policy(conn)  # other tests write rulebooks, too
            published.write_products(conn, [twin], policy, new_versions.Cause("write", "test"))
            sheets = {sheet.product_id: sheet for sheet in published.stored_sheets(conn, [one, two])}
            [first], [second] = price_changes(conn, one, 9), price_changes(conn, two, 9)
        assert _timeless(sheets[one].json) == _timeless(sheets[two].json.replace(two, one))
        assert (first.version, first.new_price, first.old_price) == (1, second.new_price, None)
        assert (first.cause, first.currency) == ("import", "USD")


def _timeless(sheet: str) -> str:
    before, _, rest = sheet.partition('"computed_at":')
    return before + rest.partition(",")[2]


def test_a_product_that_was_deleted_comes_back_beside_others(pool: Pool, file: Writing) -> None:
    """Its price goes with it and its history stays, which is in the way of storing the whole chunk at once."""
    one, two, three = (new_id() for _ in range(3))
    imported(pool, file(f"{HEADER}\n{one},Kettle,USD,1.00\n{three},Kettle,USD,1.00\n"))
    with pool.connection() as conn:
        conn.execute("DELETE FROM products WHERE product_id = %s", [one])
        assert [sheet.json for sheet in published.stored_sheets(conn, [one])] == [""]
    path = file(f"{HEADER}\n{two},Lamp,USD,2.00\n{one},Kettle,USD,3.00\n{three},Kettle,USD,1.50\n")
    done = imported(pool, path)
    assert (done.code, counts(done)) == (0, "3 rows: 2 new, 1 changed, 0 unchanged, 0 rejected")
    with pool.connection() as conn:
        assert len(published.stored_sheets(conn, [one, two])) == 2
        assert [len(price_changes(conn, i, 9)) for i in (one, two, three)] == [3, 1, 2]


def test_every_price_has_its_product_and_its_policy(pool: Pool) -> None:
    """Foreign keys would say so, and would take a third of an import's time."""
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT count(*) AS n FROM prices p WHERE NOT EXISTS (SELECT FROM products o WHERE"
            " o.product_id = p.product_id) OR NOT EXISTS (SELECT FROM rulebooks v WHERE v.version = p.policy_version)"
        ).fetchone()
    assert row == {"n": 0}


def test_publications_are_cut_into_small_tasks(pool: Pool, file: Writing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PUBLISHED", 3)
    monkeypatch.setattr(writing, "REPRICED", 2)
    ids = sorted(new_id() for _ in range(7))
    for price in ("1.00", "1.10"):
        imported(pool, file("\n".join([HEADER, *(f"{i},Kettle,USD,{price}" for i in ids)])))
    with pool.connection() as conn:
        query = "SELECT product_set->'product_ids' AS ids FROM tasks WHERE product_set->'product_ids' ?| %s"
        found = conn.execute(query, [ids]).fetchall()
    assert sorted(row["ids"] for row in found) == [ids[:3], ids[3:6], ids[6:]]


def test_a_dry_run_says_what_would_be_and_keeps_nothing(pool: Pool, file: Writing) -> None:
    one, two = new_id(), new_id()
    path = file(f"{HEADER}\n{one},Kettle,USD,1.00\n{two},Kettle,USD,x\n")
    assert imported(pool, path, dry_run=True).code == 2
    done = imported(pool, path, skip_bad=True, dry_run=True)
    assert (done.code, done.rejects.count("\n")) == (1, 2)
    assert counts(done) == "dry run, nothing was kept: 2 rows: 1 new, 0 changed, 0 unchanged, 1 rejected"
    with pytest.raises(NotFound):
        stored(pool, one)


def test_two_imports_at_once_both_end_well(pool: Pool, tmp_path: Path) -> None:
    ids = [new_id() for _ in range(300)]
    paths = []
    for number, order in enumerate((ids, ids[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths.append(folder / "products.csv")
        paths[-1].write_text("\n".join([HEADER, *(f"{i},Kettle,USD,1.0{number}" for i in order)]))
    for _ in range(3):
        done = at_once([partial(imported, pool, path) for path in paths])
        assert [one.code for one in done] == [0, 0], done
    with pool.connection() as conn:
        assert len(published.stored_sheets(conn, ids)) == len(ids)
