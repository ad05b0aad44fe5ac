"""Each bad row is named by its line and column, and kept in the rejects file."""

import csv
import io
from decimal import Decimal

import pytest

from shared.errors import NotFound
from shared.importing import source, staging
from shared.postgres.pools import Pool
from shared.prices import published
from tests.integration.catalogue_examples import new_id
from tests.integration.importing.import_results import Writing, bad, counts, rejects_in, stored
from tests.integration.importing_examples import HEADER, imported


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (",Kettle,USD,1.00", "product_id"),
        ("A\x7f1,Kettle,USD,1.00", "product_id"),
        (f"{'A' * 129},Kettle,USD,1.00", "product_id"),
        ("A-1,,USD,1.00", "name"),
        ("A-1,  ,USD,1.00", "name"),
        ("A-1,Ket\0tle,USD,1.00", "name"),
        (f"A-1,{'x' * 201},USD,1.00", "name"),
        ("A-1,Kettle,,1.00", "currency"),
        ("A-1,Kettle,usdx,1.00", "currency"),
        ("A-1,Kettle,XXX,1.00", "currency"),
        *(
            (f"A-1,Kettle,USD,{price}", "base_price")
            for price in ("", "cheap", "-1", "-0", "NaN", "Infinity", "1e999999", "1e2", "1.001", '"10,00.00"', "$1.00")
        ),
        *((f"A-1,Kettle,USD,{price}", "base_price") for price in ("1_0", "1 0", "١", "１", "+1", ".5", "0x1")),
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
    assert "line 2, row: not CSV: field larger than" in done.said
    assert long in done.rejects


BAD = {
    "stock": ("1.5", "-1", "1_0", "99999999999"),
    "cost": ("NaN",),
    "min_price": ("1.001",),
    "strategy": ("gone",),
    "tiers": ("cheap",),
}
BAD_TIERS = [
    ('"[{""up_to"": 9, ""unit_price"": ""1.00""}]"', "tiers[0].up_to"),
    ('"[{""up_to"": null, ""unit_price"": ""1.001""}]"', "tiers[0].unit_price"),
    ('"[{""up_to"": null, ""unit_price"": ""1_0""}]"', "tiers[0].unit_price"),
]


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [
        *((name, value, name) for name, values in BAD.items() for value in values),
        *(("tiers", tiers, column) for tiers, column in BAD_TIERS),
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
        ('"tiers": -1', "tiers"),
        ('"tiers": true', "tiers"),
        ('"content": 5', "content"),
        ("oops", "row"),
    ],
)
def test_a_bad_object_is_named_by_line_and_column(pool: Pool, file: Writing, change: str, column: str) -> None:
    begin = '{"product_id": "A-1", "name": "Kettle", "currency": "USD", "base_price": 1'
    path = file(f"{begin}}}\n\n{begin}, {change}}}\n[1]\n")
    assert bad(pool, path) == [(3, column), (4, "row")]


@pytest.mark.parametrize("head", [f"{HEADER}\n", '{"product_id": "A-0"}\n'])
def test_bytes_that_are_no_utf8_are_a_bad_row_of_their_own(pool: Pool, file: Writing, head: str) -> None:
    path = file(head.encode() + "A-1,Läufer,USD,1.00\nA-2,Lüster,USD,1.00\n".encode("latin-1") + "ä".encode())
    assert rejects_in(pool, path)[-3][1:] == ["row", "not UTF-8", "A-1,L\\xe4ufer,USD,1.00"]


def test_all_bad_rows_are_in_the_rejects_file_and_few_of_them_on_the_screen(pool: Pool, file: Writing) -> None:
    ids = [new_id() for _ in range(30)]
    lines = [f'{product_id},"Ket,tle",USD,cheap' for product_id in ids]
    done = imported(pool, file("\n".join([HEADER, *lines, f"{ids[0]},Kettle,USD,1.00"])))
    read = list(csv.reader(io.StringIO(done.rejects)))
    assert read[0] == ["line", "column", "reason", "raw"]
    assert read[1:] == [
        [str(line), "base_price", "'cheap' is not a number such as 49.90 or 49,90, without a currency sign", raw]
        for line, raw in enumerate(lines, 2)
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
    assert f'4,product_id,{one} is also in line 2,"{one},Kettle,USD,3.00"' in done.rejects
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
        f"{ids[at]} is also in line {at + shift}" for at in range(5)
    ]
    assert imported(pool, path, skip_bad=True).code == 1
    with pool.connection() as conn:
        assert len(published.stored_sheets(conn, ids)) == 50


def test_where_every_row_is_bad_nothing_is_imported(pool: Pool, file: Writing) -> None:
    assert imported(pool, file(f"{HEADER}\nA-1,Kettle,USD,x\n"), skip_bad=True).code == 2


@pytest.mark.parametrize(
    "content",
    [
        f'{HEADER},"\x1b[2J\x9b\rforged"\n',
        '{"product_id": "A-1", "name": "x", "currency": "USD", "base_price": 1, "\\u001b[2J\\u009b\\rforged": 1}\n',
        f'{HEADER}\n"A-1\x1b[2J",Kettle,"\x1b\x9b",1\n',
        f"{HEADER},strategy\nA-1,Kettle,USD,1,\x1b[2J\x9b\n",
    ],
)
def test_no_text_of_a_file_moves_the_cursor(pool: Pool, file: Writing, content: str) -> None:
    path = file(content)
    said = imported(pool, path.rename(path.with_name("a\x1b[2Jb"))).said
    assert "nothing was imported" in said or "rejected" in said
    assert all(line.isprintable() for line in said.split("\n"))
