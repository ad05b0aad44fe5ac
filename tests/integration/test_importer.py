"""The importer: all rows of a file or none, and each bad one by its line and column."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from shared.catalogue import importer, products
from shared.catalogue.database import Pool
from shared.catalogue.importer import Imported, Reject, RejectedFile
from shared.errors import NotFound
from shared.pricing.models import ProductInput, Tier
from tests.integration.catalogue_examples import new_id

HEADER = "product_id,name,currency,base_price"
Writing = Callable[[str | bytes], Path]


@pytest.fixture
def file(tmp_path: Path) -> Writing:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "products.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refused(path: Path) -> RejectedFile:
    with pytest.raises(RejectedFile) as wrong:
        importer.read(path)
    return wrong.value


def rejects(path: Path) -> list[tuple[int, str]]:
    return [(reject.line, reject.column) for reject in refused(path).rejects]


def imported(pool: Pool, inputs: list[ProductInput]) -> Imported:
    with pool.connection() as conn:
        return importer.write(conn, inputs)


def publications(pool: Pool, product_id: str) -> int:
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT count(*) AS n FROM tasks WHERE kind = 'publication' AND scope->'product_ids' ? %s", [product_id]
        ).fetchone()
    return int(row["n"]) if row else 0


def test_rows_become_products(file: Writing) -> None:
    path = file(
        f"{HEADER},category,cost,stock,min_price,max_price,strategy,tiers\n"
        'A-1,"Kettle, 1.7 l ""quick""",USD,49.90,home,31.20,12,35.00,69.00,match,'
        '"[{""up_to"": 9, ""unit_price"": ""49.90""}, {""up_to"": null, ""unit_price"": ""44.90""}]"\n'
        "A-2,Lamp,JPY,1500,,,,,,,\n"
    )
    first, second = importer.read(path)
    assert first.name == 'Kettle, 1.7 l "quick"'
    assert (first.cost, first.stock, first.strategy) == (Decimal("31.20"), 12, "match")
    assert first.tiers[1] == Tier(up_to=None, unit_price=Decimal("44.90"))
    assert second == ProductInput(product_id="A-2", name="Lamp", currency="JPY", base_price=Decimal(1500))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_and_a_byte_order_mark_are_taken(file: Writing, end: str) -> None:
    text = end.join([HEADER, "A-1,Kettle,USD,1.00", "A-2,Läufer,USD,2.00"])
    assert [product.name for product in importer.read(file(b"\xef\xbb\xbf" + text.encode()))] == ["Kettle", "Läufer"]


def test_columns_may_stand_in_any_order_and_names_may_have_line_breaks(file: Writing) -> None:
    [product] = importer.read(file('base_price,currency,name,product_id\n1.00,USD,"two\nlines",A-1\n'))
    assert (product.product_id, product.name) == ("A-1", "two\nlines")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (",Kettle,USD,1.00", "product_id"),
        ("A 1,Kettle,USD,1.00", "product_id"),
        ("A-1,,USD,1.00", "name"),
        ("A-1,Kettle,usd,1.00", "currency"),
        ("A-1,Kettle,XXX,1.00", "currency"),
        ("A-1,Kettle,USD,", "base_price"),
        ("A-1,Kettle,USD,cheap", "base_price"),
        ("A-1,Kettle,USD,-1", "base_price"),
        ("A-1,Kettle,USD,NaN", "base_price"),
        ("A-1,Kettle,USD,1e999999", "base_price"),
        ("A-1,Kettle,USD,1.001", "base_price"),
        ('A-1,Kettle,USD,"1,000.00"', "base_price"),
        ("A-1,Kettle,USD,$1.00", "base_price"),
    ],
)
def test_a_bad_row_refuses_the_whole_file_by_line_and_column(file: Writing, row: str, column: str) -> None:
    [reject] = refused(file(f"{HEADER}\nA-0,Lamp,USD,1.00\n{row}\nA-2,Lamp,USD,1.00\n")).rejects
    assert (reject.line, column in (reject.column, *reject.reason.split("`"))) == (3, True), reject


@pytest.mark.parametrize("row", ["A-1,Kettle,USD", "A-1,Kettle,USD,1.00,more", "A-1"])
def test_a_row_of_another_length_is_refused(file: Writing, row: str) -> None:
    [reject] = refused(file(f"{HEADER}\n{row}\n")).rejects
    assert (reject.line, reject.column) == (2, "row")


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [
        ("stock", "1.5", "stock"),
        ("stock", "-1", "stock"),
        ("stock", "99999999999", "stock"),
        ("cost", "NaN", "cost"),
        ("min_price", "1.001", "min_price"),
        ("tiers", '"[{""up_to"": 9, ""unit_price"": ""1.00""}]"', "tiers[0].up_to"),
        ("tiers", '"[{""up_to"": null, ""unit_price"": ""1.001""}]"', "tiers[0].unit_price"),
    ],
)
def test_a_bad_optional_column_is_named(file: Writing, name: str, value: str, column: str) -> None:
    assert rejects(file(f"{HEADER},{name}\nA-1,Kettle,USD,1.00,{value}\n")) == [(2, column)]


def test_tiers_that_are_no_json_are_refused_in_their_row(file: Writing) -> None:
    [reject] = refused(file(f"{HEADER},tiers\nA-1,Kettle,USD,1.00,cheap\n")).rejects
    assert reject.line == 2


def test_all_bad_rows_are_told_and_few_of_them_shown(file: Writing) -> None:
    path = file("\n".join([HEADER, *(f"A-{n},Kettle,USD,cheap" for n in range(30))]))
    error = refused(path)
    assert [reject.line for reject in error.rejects] == list(range(2, 32))
    lines = list(importer.shown(error.rejects))
    assert len(lines) == importer.SHOWN_REJECTS + 1
    assert lines[0].startswith("line 2, base_price: ")
    assert lines[-1] == "… and 10 more"
    assert list(importer.shown([Reject(2, "row", "why")])) == ["line 2, row: why"]


def test_a_product_that_stands_twice_is_refused(file: Writing) -> None:
    path = file(f"{HEADER}\nA-1,Kettle,USD,1.00\nA-2,Lamp,USD,1.00\nA-1,Kettle,USD,2.00\n")
    assert rejects(path) == [(4, "product_id")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column base_price, currency, name, product_id"),
        (b"\n\n", "no column"),
        (HEADER.encode(), "no rows"),
        (f"{HEADER}\n\n\n".encode(), "no rows"),
        (b"product_id,name,currency\nA-1,Kettle,USD\n", "no column base_price"),
        (b"A-1,Kettle,USD,1.00\nA-2,Kettle,USD,1.00\n", "no column"),
        (f"{HEADER},colour\nA-1,Kettle,USD,1.00,red\n".encode(), "unknown column 'colour'"),
        (f"{HEADER},\nA-1,Kettle,USD,1.00,red\n".encode(), "unknown column ''"),
        (f"{HEADER}\nA-1,Läufer,USD,1.00\n".encode("latin-1"), "not UTF-8"),
        (f"{HEADER}\nA-1,Kettle,USD,1.00\n".encode("utf-16"), "not UTF-8"),
        (f'{HEADER}\nA-1,"Kettle,USD,1.00\n'.encode(), "no CSV"),
        (f'{HEADER}\nA-1,"Ket"tle,USD,1.00\n'.encode(), "no CSV"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "not UTF-8"),
        (f"{HEADER}\nA-1,{'x' * 200_000},USD,1.00\n".encode(), "no CSV"),
    ],
)
def test_what_is_no_such_file_is_refused_with_a_sentence(file: Writing, content: bytes, said: str) -> None:
    error = refused(file(content))
    assert said in str(error)
    assert error.rejects == []


def test_a_column_that_stands_twice_is_refused(file: Writing) -> None:
    """Which of the two prices would it be?"""
    assert "twice" in str(refused(file(f"{HEADER},base_price\nA-1,Kettle,USD,1.00,2.00\n")))


def test_a_nul_byte_is_refused(file: Writing) -> None:
    refused(file(f"{HEADER}\nA-1,Ket\0tle,USD,1.00\n"))
    refused(file(bytes(100)))


def test_a_folder_and_a_missing_file_are_refused_with_a_sentence(tmp_path: Path) -> None:
    assert "directory" in str(refused(tmp_path))
    assert "No such file" in str(refused(tmp_path / "nothing.csv"))


def test_new_changed_and_unchanged_products_are_counted(pool: Pool, file: Writing) -> None:
    one, two = new_id(), new_id()
    read = importer.read(file(f"{HEADER}\n{one},Kettle,USD,1.00\n{two},Lamp,USD,2.00\n"))
    assert imported(pool, read) == Imported(rows=2, created=2, changed=0)
    assert imported(pool, read) == Imported(rows=2, created=0, changed=0)
    again = importer.read(file(f"{HEADER}\n{one},Kettle,USD,1.50\n{two},Lamp,USD,2.00\n{new_id()},New,USD,3\n"))
    assert imported(pool, again) == Imported(rows=3, created=1, changed=1)
    with pool.connection() as conn:
        assert products.view(conn, one).product.base_price == Decimal("1.50")


def test_only_changed_products_are_published(pool: Pool, file: Writing) -> None:
    product_id = new_id()
    read = importer.read(file(f"{HEADER}\n{product_id},Kettle,USD,1.00\n"))
    imported(pool, read)
    imported(pool, read)
    assert publications(pool, product_id) == 0
    imported(pool, importer.read(file(f"{HEADER}\n{product_id},Kettle,USD,1.10\n")))
    assert publications(pool, product_id) == 1


def test_a_file_is_written_in_batches_and_told_so(pool: Pool, file: Writing) -> None:
    rows = [f"{new_id()},Kettle,USD,1.00" for _ in range(importer.BATCH + 5)]
    steps: list[int] = []
    with pool.connection() as conn:
        done = importer.write(conn, importer.read(file("\n".join([HEADER, *rows]))), steps.append)
        conn.rollback()
    assert steps == [importer.BATCH, 5]
    assert done == Imported(rows=importer.BATCH + 5, created=importer.BATCH + 5, changed=0)


def test_an_import_that_is_broken_off_has_imported_nothing(pool: Pool, file: Writing) -> None:
    ids = [new_id() for _ in range(importer.BATCH + 1)]
    read = importer.read(file("\n".join([HEADER, *(f"{i},Kettle,USD,1.00" for i in ids)])))

    def break_off(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), pool.connection() as conn:
        importer.write(conn, read, break_off)
    with pool.connection() as conn, pytest.raises(NotFound):
        products.view(conn, sorted(ids)[0])
