"""Files as spreadsheet programs and shops write them are read, or refused with a sentence that names the fault."""

from decimal import Decimal

import pytest

from shared.importing.columns import Columns, parse_map
from shared.importing.numbers import DecimalMark
from shared.postgres.pools import Pool
from tests.integration.importing.import_results import Writing, bad, products_in, rejects_in
from tests.integration.importing_examples import HEADER, NO_MAP, imported

ROWS = "A-1,Kettle,EUR,19.90\nA-2,Läufer,EUR,5\n"
READ = [("A-1", "Kettle", "EUR", Decimal("19.90")), ("A-2", "Läufer", "EUR", Decimal(5))]
TABLE = f"{HEADER}\n{ROWS}"


def read(file: Writing, content: str | bytes, columns: Columns = NO_MAP) -> list[tuple[str, str, str, Decimal]]:
    return [(one.product_id, one.name, one.currency, one.base_price) for one in products_in(file(content), columns)]


def with_commas(text: str) -> str:
    return text.replace(",", ";").replace(".", ",")


@pytest.mark.parametrize(
    "content",
    [
        with_commas(TABLE),
        with_commas(TABLE).replace("19,90", "19,9"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", "|"),
        f"sep=,\n{TABLE}",
        f'"sep=;"\r\n{with_commas(TABLE)}',
        "sep=\t\n" + TABLE.replace(",", "\t"),
        f"{HEADER}\n,,,\n{ROWS},,,\n , ,,\n",
        with_commas(f'{HEADER}\n{ROWS};;;\n"";"";;\n'),
        f"{HEADER},\n" + ROWS.replace("\n", ",\n"),
        f"{HEADER},,,\n" + ROWS.replace("\n", ",,\n"),
        f"{HEADER}\n" + ROWS.replace("\n", ",\n"),
        f"Product_ID, NAME ,Currency,Base Price\n{ROWS}",
        f" product-id,name,currency,BASE_PRICE\n{ROWS}",
        TABLE.replace(",", " , "),
        TABLE.replace("EUR", "eur"),
        TABLE.replace("A-2", " A-2 ").replace(",EUR", ', "EUR"'),
        f",,,\n{TABLE}",
    ],
)
def test_a_table_is_read_however_it_is_written(file: Writing, content: str) -> None:
    assert read(file, content) == READ


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "windows-1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_its_encoding_is_recognised(file: Writing, encoding: str, end: str) -> None:
    assert read(file, TABLE.replace("\n", end).encode(encoding)) == READ


def test_a_guess_is_stated_and_an_encoding_can_be_told(pool: Pool, file: Writing) -> None:
    done = imported(pool, file(TABLE.encode("cp1252")), dry_run=True)
    assert "it is not UTF-8, and is read as Windows-1252: --encoding names another" in done.said
    assert done.code == 0
    assert "Windows" not in imported(pool, file(TABLE), dry_run=True).said
    polish = TABLE.replace("Läufer", "Łódź").encode("iso8859-2")
    assert read(file, polish, Columns(encoding="iso8859-2"))[1][1] == "Łódź"
    refused = imported(pool, file(TABLE.encode("cp1252")), Columns(encoding="utf-8"), dry_run=True)
    assert (refused.code, "line 3, row: not utf-8" in refused.said) == (2, True)


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("1.234,56", "1234.56"),
        ("1 234,56", "1234.56"),
        ("1\u00a0234\u202f567.5", "1234567.5"),
        ("1'234.50", "1234.50"),
        ("1.234.567", "1234567"),
        ("0.500", "0.500"),
        ("1234.500", "1234.500"),
        ("1.5000", "1.5000"),
        ("12.0", "12.0"),
    ],
)
def test_a_number_that_can_be_only_one_is_read(file: Writing, written: str, amount: str) -> None:
    for delimiter in ";\t":
        row = delimiter.join(["A-1", "Sofa", "EUR", written])
        [(*_, price)] = read(file, f"{HEADER.replace(',', delimiter)}\n{row}\n")
        assert price == Decimal(amount)


@pytest.mark.parametrize(
    ("written", "mark", "amount"),
    [
        ("1.500", "point", "1.5"),
        ("1.500", "comma", "1500"),
        ("1,500", "comma", "1.5"),
        ("1,500", "point", "1500"),
        ("1,500.00", "point", "1500"),
        ("1.500,00", "comma", "1500"),
        ("12", "comma", "12"),
    ],
)
def test_the_decimal_mark_can_be_told(file: Writing, written: str, mark: DecimalMark, amount: str) -> None:
    for text in (f'{HEADER}\nA-1,Sofa,EUR,"{written}"\n', f"{HEADER.replace(',', ';')}\nA-1;Sofa;EUR;{written}\n"):
        [(*_, price)] = read(file, text, Columns(decimal=mark))
        assert price == Decimal(amount)


@pytest.mark.parametrize("written", ["1.500", "1,234", "12.000"])
def test_a_number_that_can_be_two_is_refused_with_the_option_that_helps(
    pool: Pool, file: Writing, written: str
) -> None:
    [reject] = rejects_in(pool, file(f'{HEADER}\nA-1,Sofa,EUR,"{written}"\n'))
    assert reject[1] == "base_price"
    assert "--decimal point or --decimal comma tells which" in reject[2]


def test_three_decimals_are_decimals_in_a_currency_that_has_them(file: Writing) -> None:
    rows = "A-1,Sofa,KWD,1.500\nA-2,Sofa,CLF,1.500\n"
    assert [price for *_, price in read(file, f"{HEADER}\n{rows}")] == [Decimal("1.5")] * 2


def test_whole_numbers_may_have_zeros_behind_the_mark(pool: Pool, file: Writing) -> None:
    head = f"{HEADER},stock,price_decimals"
    [one] = products_in(file(f"{head}\nA-1,Kettle,EUR,1,12.0,2.00\n"))
    assert (one.stock, one.price_decimals) == (12, 2)
    assert bad(pool, file(f"{head}\nA-1,Kettle,EUR,1,12.5,\nA-2,Kettle,EUR,1,,2.1\n")) == [
        (2, "stock"), (3, "price_decimals"),
    ]  # fmt: skip


def test_categories_have_up_to_256_characters_and_no_outer_blanks(file: Writing, pool: Pool) -> None:
    category = " > ".join(["Kleidung"] * 23)[:256]
    found = products_in(file(f"{HEADER},category\nA-1,Radio,USD,1,{category} \nA-2,Radio,USD,1, toys\n"))
    assert [one.category for one in found] == [category, "toys"]
    assert bad(pool, file(f"{HEADER},category\nA-1,Radio,USD,1,{'x' * 257}\n")) == [(2, "category")]


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        ('A-1,"Kettle,EUR,1\nA-2,Lamp,EUR,2\nA-3,Cup,EUR,3\n', 4),
        ('A-1,"Kettle,EUR,1\nA-2,"Lamp",EUR,2\nA-3,Cup,EUR,3\n', 3),
        ('A-1,"Kettle,EUR,1\nA-2,Lamp",EUR,2\nA-3,Cup,EUR,3\n', 3),
        ('A-1,"Kettle,EUR,1\nA-2,Lamp,EUR,2"\nA-3,Cup,EUR,3\n', 3),
    ],
)
def test_a_stray_quote_swallows_no_rows_and_its_line_is_named(pool: Pool, file: Writing, rows: str, last: int) -> None:
    [reject, *_] = rejects_in(pool, file(f"{HEADER}\n{rows}"))
    assert (reject[:2], reject[3]) == (["2", "row"], 'A-1,"Kettle,EUR,1')
    assert f"a quote that opens in line 2 is not closed there, and takes in the text up to line {last}" in reject[2]
    done = imported(pool, file(f"{HEADER}\n{rows}"), skip_bad=True, dry_run=True)
    assert (done.code, "3 rows" in done.said) == (1, True), done


def test_names_with_line_breaks_and_delimiters_are_no_stray_quotes(file: Writing) -> None:
    rows = 'A-1,"Kettle, red,\n1.7 l, steel",EUR,1\n"A-2","two\nlines","EUR","1"\n'
    assert [name for _, name, _, _ in read(file, f"{HEADER}\n{rows}")] == ["Kettle, red,\n1.7 l, steel", "two\nlines"]


def test_a_map_finds_its_columns_in_any_case_and_with_any_delimiter(file: Writing) -> None:
    text = "artikelnummer ;Bezeichnung; Preis EUR;x\n4711;Läufer;1.234,50;y\n"
    columns = Columns(parse_map("product_id=Artikelnummer,name=Bezeichnung,base_price=preis eur"), {"currency": "EUR"})
    assert read(file, text.encode("cp1252"), columns) == [("4711", "Läufer", "EUR", Decimal("1234.50"))]
