"""CSV and JSON lines become products, whatever their line ends, packing and columns."""

import gzip
from collections.abc import Callable
from decimal import Decimal

import pytest

from shared.errors import InvalidInput
from shared.importing.columns import Columns, constants, parse_map
from shared.postgres.pools import Pool
from shared.pricing.product import Content, ProductInput, Tier
from tests.integration.importing.import_results import Writing, bad, products_in
from tests.integration.importing_examples import HEADER


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


FACTS = "brand,tags,content_amount,content_unit,tax_class,quantity_step,price_decimals,map_price,rrp"


def test_csv_and_json_lines_have_the_facts_that_rules_read(file: Writing) -> None:
    table = f"{HEADER},{FACTS}\n" + "A-1,Wine,EUR,9.90,Acme,{},750,ml,reduced,0.5,4,8.90,12.00\n"
    document = (
        '{"product_id": "A-1", "name": "Wine", "currency": "EUR", "base_price": 9.9, "brand": "Acme",'
        ' "tags": ["new", "red"], "content": {"amount": 750, "unit": "ml"}, "tax_class": "reduced",'
        ' "quantity_step": "0.5", "price_decimals": 4, "map_price": 8.9, "rrp": "12"}'
    )
    first = products_in(file(table.format("new|red")))
    assert first[0].tags == ("new", "red")
    assert (first[0].content, first[0].tax_class) == (Content(amount=Decimal(750), unit="ml"), "reduced")
    assert products_in(file(table.format('"[""new"", ""red""]"'))) == first
    assert products_in(file(document)) == first


def test_an_amount_of_a_product_with_decimals_of_its_own_is_read_with_them(file: Writing) -> None:
    table = f"{HEADER},price_decimals,cost\nA-1,Screw,EUR,0.0123,4,1.234\n"
    [screw] = products_in(file(table))
    assert (screw.base_price, screw.cost, screw.price_decimals) == (Decimal("0.0123"), Decimal("1.234"), 4)


def test_a_wrong_fact_is_reported_by_its_column(file: Writing, pool: Pool) -> None:
    row = "B-{},Wine,EUR,9.90,{}"
    cells = [",,x,kg,,,,,", ",,1,stone,,,,,", ",,1,,,,,,", ",,,,,,x,,", ",a|a,,,,,,,", ",,,,,,,9.999,"]
    path = file("\n".join([f"{HEADER},{FACTS}", *(row.format(at, text) for at, text in enumerate(cells))]))
    columns = [column for _, column in bad(pool, path)]
    assert columns == ["content_amount", "content.unit", "content", "price_decimals", "tags", "map_price"]


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
    path = file(f'{HEADER}\nA-1,"two\nlines",USD,1\n\n"A\t2","two\nlines",USD,1\nA-3,Lamp,USD,x\n')
    assert bad(pool, path) == [(5, "product_id"), (7, "base_price")]


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


@pytest.mark.parametrize("text", ["product_id", "id=index", "name=", "name=a,name=b", "name=a,,", "name=a\nb"])
def test_a_map_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"form|unknown|twice|one line"):
        parse_map(text)


def test_constants_that_no_product_could_have_are_refused() -> None:
    for wrong in ({"currency": "XXX", "category": None}, {"currency": None, "category": "x" * 257}):
        with pytest.raises(InvalidInput):
            constants(**wrong)
