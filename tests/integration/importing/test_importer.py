"""The importer: all rows of a file or none, and each bad one by its line and column."""

import csv
import gzip
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import pytest

from shared.catalogue import products
from shared.errors import InvalidInput, NotFound
from shared.importing import importer, source, staging, writing
from shared.importing.chunks import Block, chunks
from shared.importing.columns import Columns, RefusedFile, constants, parse_map
from shared.postgres import pools
from shared.postgres.pools import Pool
from shared.prices import published
from shared.pricing.policy import DEFAULT_POLICY
from shared.pricing.product import ProductInput, Tier
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.catalogue_examples import at_once, new_id
from tests.integration.importing_examples import (
    HEADER,
    NO_MAP,
    Done,
    command,
    environ,
    generated,
    imported,
    migrated,
    ran,
    scalar,
)
from tests.support.waiting import eventually

Writing = Callable[[str | bytes], Path]
NewDatabase = Callable[[], Settings]
BIGBASKET = "product_id=index,name=product,category=category,base_price=market_price"


@pytest.fixture
def file(tmp_path: Path) -> Writing:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "products"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def products_in(path: Path, columns: Columns = NO_MAP) -> list[ProductInput]:
    with source.opened(path) as opened:
        reader, found = chunks(opened.lines, columns)
        return [
            reader.product(row)
            for chunk in found
            for row in (
                [reader.row(chunk.line, raw) for raw in chunk.text.splitlines() if raw]
                if isinstance(chunk, Block)
                else chunk
            )
        ]


def rejects_in(pool: Pool, path: Path) -> list[list[str]]:
    """Line, column, reason and raw text of every reject; the file has bad rows, so that nothing is imported."""
    done = imported(pool, path)
    assert done.code == 2
    return list(csv.reader(io.StringIO(done.rejects, newline="")))[1:]


def bad(pool: Pool, path: Path) -> list[tuple[int, str]]:
    return [(int(line), column) for line, column, _, _ in rejects_in(pool, path)]


def stored(pool: Pool, product_id: str) -> ProductInput:
    with pool.connection() as conn:
        return products.view(conn, product_id).product


def publications(pool: Pool, product_id: str) -> int:
    query = "SELECT count(*) AS n FROM tasks WHERE kind = 'publication' AND scope->'product_ids' ? %s"
    with pool.connection() as conn:
        row = conn.execute(query, [product_id]).fetchone()
    return int(row["n"]) if row else 0


def counts(done: Done) -> str:
    """The summary line without the time."""
    return done.said.strip().splitlines()[-1].split(";")[0]


# Formats


def test_csv_rows_become_products(file: Writing) -> None:
    path = file(
        f"{HEADER},category,cost,stock,min_price,max_price,strategy,tiers\n"
        'A-1,"Kettle, 1.7 l ""quick""",USD,49.90,home,31.20,12,35.00,69.00,match,'
        '"[{""up_to"": 9, ""unit_price"": ""49.90""}, {""up_to"": null, ""unit_price"": 44.90}]"\n'
        "A-2,Lamp,JPY,1500,,,,,,,\n"
    )
    first, second = products_in(path)
    assert first.name == 'Kettle, 1.7 l "quick"'
    assert (first.cost, first.stock, first.strategy) == (Decimal("31.20"), 12, "match")
    assert first.tiers[1] == Tier(up_to=None, unit_price=Decimal("44.90"))
    assert second == ProductInput(product_id="A-2", name="Lamp", currency="JPY", base_price=Decimal(1500))


def test_json_lines_become_products_and_their_amounts_are_read_digit_by_digit(file: Writing) -> None:
    path = file(
        '\n {"product_id": "A-1", "name": "Kettle", "currency": "CLF", "base_price": 100000000000.0001,'
        ' "stock": 12, "cost": null, "tiers": [{"up_to": null, "unit_price": 0.3}]}\n\n'
        '{"product_id": "A-2", "name": "Lamp \\u00e4", "currency": "USD", "base_price": "0.10"}'
    )
    first, second = products_in(path)
    assert (first.base_price, first.stock) == (Decimal("100000000000.0001"), 12)
    assert first.tiers == (Tier(up_to=None, unit_price=Decimal("0.3")),)
    assert second == ProductInput(product_id="A-2", name="Lamp ä", currency="USD", base_price=Decimal("0.10"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_any_line_end_a_byte_order_mark_and_gzip_are_taken(
    file: Writing, end: str, mark: bytes, pack: Callable[[bytes], bytes]
) -> None:
    table = end.join([HEADER, "A-1,Kettle,USD,1.00", "A-2,Läufer,USD,2.00"])
    objects = end.join(
        f'{{"product_id": "A-{n}", "name": "{name}", "currency": "USD", "base_price": 1}}'
        for n, name in ((1, "Kettle"), (2, "Läufer"))
    )
    for text in (table, objects):
        assert [product.name for product in products_in(file(pack(mark + text.encode())))] == ["Kettle", "Läufer"]


def test_columns_may_stand_in_any_order_and_names_may_have_line_breaks(file: Writing) -> None:
    path = file('base_price,currency,name,product_id\n1.00,USD,"two\nlines",A-1\n')
    assert [(product.product_id, product.name) for product in products_in(path)] == [("A-1", "two\nlines")]


def test_the_line_of_a_row_is_where_it_starts(pool: Pool, file: Writing) -> None:
    path = file(f'{HEADER}\nA-1,"two\nlines",USD,1\n\nA 2,"two\nlines",USD,1\nA-3,Lamp,USD,x\n')
    assert bad(pool, path) == [(5, "product_id"), (7, "base_price")]


# Columns


def test_a_map_names_their_columns_and_passes_over_the_others(file: Writing) -> None:
    names = parse_map('product_id=index,"name=title, long",base_price=price')
    columns = Columns(names, constants(currency="INR", category="toys"))
    [product] = products_in(file('index,"title, long",price,price 2,,\n7,Kettle,1.5,x,,\n'), columns)
    assert product == ProductInput(
        product_id="7", name="Kettle", currency="INR", category="toys", base_price=Decimal("1.5")
    )
    columns = Columns(parse_map("product_id=index,name=title,base_price=price"), {"currency": "INR"})
    [product] = products_in(file('{"index": 7, "title": "Kettle", "price": 1.5, "more": [1]}\n'), columns)
    assert (product.product_id, product.base_price, product.currency) == ("7", Decimal("1.5"), "INR")


def test_a_constant_stands_in_only_where_a_row_has_none(file: Writing) -> None:
    path = file("product_id,name,currency,base_price\nA-1,Kettle,,1\nA-2,Kettle,JPY,1\n")
    assert [product.currency for product in products_in(path, Columns(constants={"currency": "USD"}))] == ["USD", "JPY"]


@pytest.mark.parametrize("text", ["product_id", "id=index", "name=", "name=a,name=b", "name=a,,"])
def test_a_map_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"form|ours|twice"):
        parse_map(text)


def test_constants_that_no_product_could_have_are_refused() -> None:
    for wrong in ({"currency": "XXX", "category": None}, {"currency": None, "category": "x" * 65}):
        with pytest.raises(InvalidInput):
            constants(**wrong)


# Bad rows


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (",Kettle,USD,1.00", "product_id"),
        ("A 1,Kettle,USD,1.00", "product_id"),
        ("A-1,,USD,1.00", "name"),
        ("A-1,  ,USD,1.00", "name"),
        ("A-1,Ket\0tle,USD,1.00", "name"),
        (f"A-1,{'x' * 201},USD,1.00", "name"),
        ("A-1,Kettle,,1.00", "currency"),
        ("A-1,Kettle,usd,1.00", "currency"),
        ("A-1,Kettle,XXX,1.00", "currency"),
        *(
            (f"A-1,Kettle,USD,{price}", "base_price")
            for price in ("", "cheap", "-1", "-0", "NaN", "Infinity", "1e999999", "1e2", "1.001", '"1,000.00"', "$1.00")
        ),
        *((f"A-1,Kettle,USD,{price}", "base_price") for price in ("1_0", " 1", "1 ", "١", "１", "+1", ".5", "0x1")),
        ("A-1,Kettle,JPY,1.5", "base_price"),
        ("A-1,Kettle,USD", "row"),
        ("A-1,Kettle,USD,1.00,more", "row"),
        ("A-1", "row"),
        ('A-1,"Ket"tle,USD,1.00', "row"),
    ],
)
def test_a_bad_row_is_named_by_line_and_column(pool: Pool, file: Writing, row: str, column: str) -> None:
    [reject] = rejects_in(pool, file(f"{HEADER}\nA-0,Lamp,USD,1.00\n{row}\nA-2,Lamp,USD,1.00\n"))
    assert [*reject[:2], reject[3]] == ["3", column, row.replace("\0", "\\x00")]


def test_a_field_without_end_is_a_bad_row_that_is_kept(pool: Pool, file: Writing) -> None:
    long = f"A-1,{'x' * 200_000},USD,1.00"
    done = imported(pool, file(f"{HEADER}\n{long}\n"))
    assert "line 2, row: no CSV: field larger than" in done.said
    assert long in done.rejects


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [
        ("stock", "1.5", "stock"),
        ("stock", "-1", "stock"),
        ("stock", "1_0", "stock"),
        ("stock", "99999999999", "stock"),
        ("cost", "NaN", "cost"),
        ("min_price", "1.001", "min_price"),
        ("strategy", "gone", "strategy"),
        ("tiers", "cheap", "tiers"),
        ("tiers", '"[{""up_to"": 9, ""unit_price"": ""1.00""}]"', "tiers[0].up_to"),
        ("tiers", '"[{""up_to"": null, ""unit_price"": ""1.001""}]"', "tiers[0].unit_price"),
        ("tiers", '"[{""up_to"": null, ""unit_price"": ""1_0""}]"', "tiers[0].unit_price"),
    ],
)
def test_a_bad_optional_column_is_named(pool: Pool, file: Writing, name: str, value: str, column: str) -> None:
    assert bad(pool, file(f"{HEADER},{name}\nA-1,Kettle,USD,1.00,{value}\n")) == [(2, column)]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ('"base_price": -1', "base_price"),
        ('"base_price": "1_0"', "base_price"),
        ('"base_price": 1e999999', "base_price"),
        ('"base_price": true', "base_price"),
        ('"base_price": 0.1000000000000000055', "base_price"),
        ('"base_price": null', "base_price"),
        ('"name": ""', "name"),
        ('"name": "\\ud800"', "row"),
        ('"stock": "12"', "stock"),
        ('"colour": "red"', "colour"),
        ("oops", "row"),
    ],
)
def test_a_bad_object_is_named_by_line_and_column(pool: Pool, file: Writing, change: str, column: str) -> None:
    begin = '{"product_id": "A-1", "name": "Kettle", "currency": "USD", "base_price": 1'
    path = file(f"{begin}}}\n\n{begin}, {change}}}\n[1]\n")
    assert bad(pool, path) == [(3, column), (4, "row")]


@pytest.mark.parametrize("head", [f"{HEADER}\n", '{"product_id": "A-0"}\n'])
def test_bytes_that_are_no_utf8_are_a_bad_row_of_their_own(pool: Pool, file: Writing, head: str) -> None:
    path = file(head.encode() + "A-1,Läufer,USD,1.00\n".encode("latin-1"))
    assert rejects_in(pool, path)[-1] == ["2", "row", "not UTF-8", "A-1,L\\xe4ufer,USD,1.00"]


def test_all_bad_rows_are_in_the_rejects_file_and_few_of_them_on_the_screen(pool: Pool, file: Writing) -> None:
    ids = [new_id() for _ in range(30)]
    lines = [f'{product_id},"Ket,tle",USD,cheap' for product_id in ids]
    done = imported(pool, file("\n".join([HEADER, *lines, f"{ids[0]},Kettle,USD,1.00"])))
    read = list(csv.reader(io.StringIO(done.rejects)))
    assert read[0] == ["line", "column", "reason", "raw"]
    assert read[1:] == [
        [str(line), "base_price", "must be a plain number such as 49.90", raw] for line, raw in enumerate(lines, 2)
    ]
    assert done.said.count("base_price") == staging.SHOWN_REJECTS
    assert "… and 10 more" in done.said
    assert (done.code, counts(done)) == (2, "31 rows: 0 new, 0 changed, 0 unchanged, 30 rejected")
    with pytest.raises(NotFound):
        stored(pool, ids[0])


def test_the_second_row_of_a_product_is_refused_and_the_first_one_imported(pool: Pool, file: Writing) -> None:
    one, two = new_id(), new_id()
    path = file(f"{HEADER}\n{one},Kettle,USD,1.00\n{two},Lamp,USD,2.00\n{one},Kettle,USD,3.00\n{one},bad,USD,x\n")
    assert imported(pool, path).code == 2
    done = imported(pool, path, skip_bad=True)
    assert (done.code, counts(done)) == (1, "4 rows: 2 new, 0 changed, 0 unchanged, 2 rejected")
    assert f'4,product_id,{one} stands in line 2 too,"{one},Kettle,USD,3.00"' in done.rejects
    assert stored(pool, one).base_price == Decimal("1.00")


@pytest.mark.parametrize("begin", ["", "bad,row\n"])
def test_second_rows_far_away_are_found_too(
    pool: Pool, file: Writing, monkeypatch: pytest.MonkeyPatch, begin: str
) -> None:
    """Whether the first one was stored at once, or only staged since the file is refused."""
    monkeypatch.setattr(source, "BLOCK", 100)
    ids = [new_id() for _ in range(50)]
    rows = [f"{product_id},Kettle,USD,1.00\n" for product_id in [*ids, *ids[:5]]]
    path = file(f"{HEADER}\n{begin}{''.join(rows)}")
    done = imported(pool, path)
    assert " rows: 0 new, 0 changed, 0 unchanged" in done.said
    shift = 2 + bool(begin)
    assert [line.split(",")[2] for line in done.rejects.splitlines()[shift - 1 :]] == [
        f"{ids[at]} stands in line {at + shift} too" for at in range(5)
    ]
    assert imported(pool, path, skip_bad=True).code == 1
    with pool.connection() as conn:
        assert len(published.stored_sheets(conn, ids)) == 50


def test_where_every_row_is_bad_nothing_is_imported(pool: Pool, file: Writing) -> None:
    assert imported(pool, file(f"{HEADER}\nA-1,Kettle,USD,x\n"), skip_bad=True).code == 2


# Bad files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (HEADER.encode(), "no rows"),
        (f"{HEADER}\n\n\n".encode(), "no rows"),
        (b"product_id,name,currency\nA-1,Kettle,USD\n", "no column base_price"),
        (b"A-1,Kettle,USD,1.00\nA-2,Kettle,USD,1.00\n", "no column product_id, name, currency, base_price"),
        (f"{HEADER},colour\nA-1,Kettle,USD,1.00,red\n".encode(), "unknown column 'colour'"),
        (f"{HEADER},\nA-1,Kettle,USD,1.00,red\n".encode(), "unknown column ''"),
        (f"{HEADER},base_price\nA-1,Kettle,USD,1.00,2.00\n".encode(), "'base_price' stands in the header twice"),
        (f"{HEADER},Läufer\n".encode("latin-1"), "not UTF-8"),
        (f"{HEADER}\nA-1,Kettle,USD,1.00\n".encode("utf-16"), "binary"),
        (bytes(100), "binary"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not UTF-8"),
        (b'[{"product_id": "A-1"}]', "a JSON array"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "cut short or damaged"),
        (gzip.compress(f"{HEADER}\nA-1,Kettle,USD,1.00\n".encode())[:-9], "cut short or damaged"),
        (gzip.compress(b""), "empty"),
        (f"{HEADER}\n{'x' * 2_000_000}".encode(), "line 2 has more than"),
    ],
)
def test_what_is_no_such_file_is_refused_with_a_sentence(pool: Pool, file: Writing, content: bytes, said: str) -> None:
    done = imported(pool, file(content))
    assert (done.code, len(done.said.splitlines()), done.rejects) == (2, 1, ""), done
    assert said in done.said
    assert done.said.endswith("; nothing was imported\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [("name=title", "--map names no column product_id"), ("product_id=x,name=y,currency=z,base_price=w", "'x'")],
)
def test_a_map_that_does_not_fit_is_refused(pool: Pool, file: Writing, text: str, said: str) -> None:
    done = imported(pool, file(f"{HEADER}\nA-1,Kettle,USD,1.00\n"), Columns(parse_map(text)))
    assert done.code == 2
    assert said in done.said


def test_a_folder_and_a_missing_file_are_refused_with_a_sentence(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, said in (("folder", "directory"), ("nothing.csv", "No such file")):
        done = imported(pool, tmp_path / name)
        assert (done.code, said in done.said) == (2, True), done


def test_a_file_that_somebody_still_writes_is_refused(pool: Pool, file: Writing) -> None:
    product_id = new_id()
    path = file(f"{HEADER}\n{product_id},Kettle,USD,1.00\n")
    for when in ("while it is read", "while it is written"):

        def append() -> None:
            with path.open("a") as late:
                late.write(f"{new_id()},Late,USD,1.00\n")

        with (
            pytest.raises(RefusedFile, match="still writing"),
            pool.connection() as conn,
            source.opened(path) as opened,
        ):
            if when == "while it is read":
                append()
            writes = append if when == "while it is written" else lambda: None
            importer.run(conn, opened, NO_MAP, rejects=path.with_name("rejects"), writes=writes)
    with pytest.raises(NotFound):
        stored(pool, product_id)


def test_rejects_are_not_written_over_the_file_nor_where_nobody_can(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text(f"{HEADER}\nA-1,Kettle,USD,x\n")
    for rejects, said in ((path, "over it"), (tmp_path / "no" / "file.csv", "cannot be written")):
        done = imported(pool, path, rejects=rejects)
        assert (done.code, said in done.said) == (2, True), done
    assert path.read_text().startswith(HEADER)


def test_a_policy_that_is_replaced_meanwhile_refuses_the_import(new_database: NewDatabase, tmp_path: Path) -> None:
    """Its run would not see products that are not committed yet."""
    settings = migrated(new_database())
    path = generated(tmp_path / "products.csv", 3)

    def replace() -> None:
        with pools.connect(settings, "tests") as other:
            rulebook.publish(other, DEFAULT_POLICY)

    with (
        pytest.raises(RefusedFile, match="policy"),
        pools.connect(settings, "tests") as conn,
        source.opened(path) as opened,
    ):
        importer.run(conn, opened, NO_MAP, rejects=tmp_path / "rejects", writes=replace)


# What becomes of products


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


def test_a_first_price_is_the_one_that_any_other_write_would_decide(
    pool: Pool, file: Writing, policy: ActivePolicy
) -> None:
    tiers = '"[{""up_to"": 9, ""unit_price"": ""9.50""}, {""up_to"": null, ""unit_price"": ""9""}]"'
    columns = f"{HEADER},category,cost,stock,min_price,max_price,strategy,tiers"
    for strategy in ("match", "list_price"):
        one, two = new_id(), new_id()
        path = file(f"{columns}\n{one},Ket\\tle,USD,10.00,home,9.90,3,1,20,{strategy},{tiers}\n")
        assert imported(pool, path).code == 0
        with pool.connection() as conn:
            twin = products.view(conn, one).product
            twin = msgspec.structs.replace(twin, product_id=two)
            published.write_products(conn, [twin], policy, published.Cause("write", "test"))
            sheets = {sheet.product_id: sheet for sheet in published.stored_sheets(conn, [one, two])}
            [first], [second] = published.history(conn, one, 9, None), published.history(conn, two, 9, None)
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
        assert not published.stored_sheets(conn, [one])
    path = file(f"{HEADER}\n{two},Lamp,USD,2.00\n{one},Kettle,USD,3.00\n{three},Kettle,USD,1.50\n")
    done = imported(pool, path)
    assert (done.code, counts(done)) == (0, "3 rows: 2 new, 1 changed, 0 unchanged, 0 rejected")
    with pool.connection() as conn:
        assert len(published.stored_sheets(conn, [one, two])) == 2
        assert [len(published.history(conn, i, 9, None)) for i in (one, two, three)] == [1, 1, 2]


def test_every_price_has_its_product_and_its_policy(pool: Pool) -> None:
    """Foreign keys would say so, and would take a third of an import's time."""
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT count(*) AS n FROM prices p WHERE NOT EXISTS (SELECT FROM products o WHERE"
            " o.product_id = p.product_id) OR NOT EXISTS (SELECT FROM policies v WHERE v.version = p.policy_version)"
        ).fetchone()
    assert row == {"n": 0}


def test_publications_are_cut_into_small_tasks(pool: Pool, file: Writing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PUBLISHED", 3)
    monkeypatch.setattr(writing, "REPRICED", 2)
    ids = sorted(new_id() for _ in range(7))
    for price in ("1.00", "1.10"):
        imported(pool, file("\n".join([HEADER, *(f"{i},Kettle,USD,{price}" for i in ids)])))
    with pool.connection() as conn:
        query = "SELECT scope->'product_ids' AS ids FROM tasks WHERE scope->'product_ids' ?| %s"
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


# The command


def test_the_catalogue_of_a_grocer_is_imported(new_database: NewDatabase, tmp_path: Path) -> None:
    data = os.environ.get("PRICING_TEST_DATA")
    if not data:
        pytest.skip("PRICING_TEST_DATA is unset")
    settings = migrated(new_database())
    arguments = ("import", Path(data) / "bigbasket_products.csv", "--map", BIGBASKET, "--currency", "INR")
    refused = ran(settings, *arguments, cwd=tmp_path)
    assert refused.returncode == 2
    rejects = (tmp_path / "bigbasket_products.csv.rejects.csv").read_text().splitlines()
    assert len(rejects) == 2
    assert rejects[1].startswith("14366,name,is missing,")
    assert scalar(settings, "SELECT count(*) FROM products") == 0
    assert ran(settings, *arguments, "--skip-bad", cwd=tmp_path).returncode == 1
    assert scalar(settings, "SELECT count(*) FROM products JOIN prices USING (product_id)") == 27_554
    assert scalar(settings, "SELECT sum(base_price) FROM products") == Decimal("10527331.39")


def test_standard_input_is_read(settings: Settings, pool: Pool, tmp_path: Path) -> None:
    product_id = new_id()
    content = gzip.compress(f"{HEADER}\n{product_id},Kettle,USD,1.00\n".encode())
    done = ran(settings, "import", "-", cwd=tmp_path, stdin=content)
    assert (done.returncode, done.stdout) == (0, b""), done
    assert b"1 rows: 1 new" in done.stderr
    assert stored(pool, product_id).name == "Kettle"
    refused = ran(settings, "import", "-", cwd=tmp_path, stdin=b"")
    assert (refused.returncode, b"standard input: it is empty" in refused.stderr) == (2, True)


def test_options_that_make_no_sense_and_a_database_that_is_away_exit_with_2(settings: Settings, tmp_path: Path) -> None:
    for wrong in (("--map", "id=x"), ("--currency", "XXX")):
        assert ran(settings, "import", "-", *wrong, cwd=tmp_path, stdin=b"").returncode == 2
    away = msgspec.structs.replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none")
    done = ran(away, "import", "-", cwd=tmp_path, stdin=b"")
    assert (done.returncode, b"is it running?" in done.stderr) == (2, True), done


@pytest.mark.parametrize(("signal_", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_an_import_that_is_broken_off_leaves_the_catalogue_as_it_was(
    new_database: NewDatabase, tmp_path: Path, signal_: signal.Signals, code: int
) -> None:
    settings = migrated(new_database())
    path = generated(tmp_path / "products.csv", 200_000)
    (tmp_path / "before.csv").write_text(f"{HEADER}\nG-0,Before,USD,7.00\n")
    assert ran(settings, "import", "before.csv", cwd=tmp_path).returncode == 0
    importing = subprocess.Popen(command("import", path), env=environ(settings), cwd=tmp_path, stderr=subprocess.PIPE)
    eventually(lambda: scalar(settings, _WRITING), "products are being written")
    importing.send_signal(signal_)
    _, said = importing.communicate(timeout=30)
    assert importing.returncode == code
    assert signal_ == signal.SIGKILL or said.endswith(b"interrupted; nothing was imported\n")
    eventually(lambda: not scalar(settings, _CONNECTED), "PostgreSQL noticed")
    assert scalar(settings, "SELECT count(*) FROM products") == 1
    assert scalar(settings, "SELECT count(*) FROM price_history") == 1
    assert scalar(settings, "SELECT name FROM products") == "Before"


_CONNECTED = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'pricing-catalogue' AND datname = current_database()
"""
_WRITING = f"{_CONNECTED} AND query ~ 'COPY (products|prices)'"


def test_memory_does_not_grow_with_the_file(new_database: NewDatabase, tmp_path: Path) -> None:
    settings = migrated(new_database())
    few, many = (_peak_kb(settings, generated(tmp_path / f"{rows}.csv", rows)) for rows in (80_000, 240_000))
    assert many < few * 1.2


def _peak_kb(settings: Settings, path: Path) -> int:
    """The most memory that one of an import's processes took."""
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command("import", path, "--dry-run")],
        env=environ(settings),
        cwd=path.parent,
        capture_output=True,
        check=True,
        timeout=120,
    )
    return int(done.stdout)
