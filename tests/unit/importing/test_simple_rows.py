"""The fast way of an import's simple rows comes to what the full one does, to the byte."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.importing.checking import Check
from shared.importing.chunks import Block
from shared.importing.numbers import DecimalMark
from shared.importing.rows import SURROGATE, Reader, Row
from shared.importing.simple_rows import Good, SimpleRows
from shared.pricing.policy import DEFAULT_POLICY, Policy
from shared.rulebook.store import ActivePolicy
from tests.support.pricing_examples import PROPERTY

AT = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
COLUMNS = ("product_id", "name", "currency", "base_price", "category", "cost")
TABLE = Reader({}, [(name, at) for at, name in enumerate(COLUMNS)], len(COLUMNS))
BARE = Reader({"currency": "INR", "category": "toys"}, [("base_price", 0), ("product_id", 1), ("name", 3)], 5)

prices = some.one_of(
    some.from_regex(r"[0-9]{1,14}(\.[0-9]{1,5})?", fullmatch=True),
    some.decimals(0, 999_999_999_999, places=2).map(str),
    some.text(max_size=5),
)
# What a file can hold: text, and bytes that are none.
texts = some.one_of(
    some.text(some.characters(codec="utf-8", exclude_characters='"\r\n,'), max_size=12),
    some.binary(max_size=12).map(lambda raw: raw.translate(None, b'"\r\n,').decode("utf-8", "surrogateescape")),
)
ids = some.one_of(some.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/ -]{0,130}", fullmatch=True), texts)
categories = some.one_of(some.sampled_from(["", "electronics", "grocery", "fashion", "home", " "]), texts)
currencies = some.sampled_from(["USD", "JPY", "KWD", "CLF", "INR", "XXX", "usd", ""])
factors = some.decimals("0.01", 100, places=4).map(lambda factor: Decimal(factor).normalize())
# Rows that are simple: the fast way must take each of them.
simple_texts = some.text(
    some.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='",\\'), max_size=60
)
simple_names = simple_texts.filter(bool)
simple_ids = some.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._:/ -]{0,126}[A-Za-z0-9._:/-])?", fullmatch=True)
simple_prices = some.decimals("0.01", "999999999999.99", places=2).map(str)


def check(reader: Reader, policy: Policy = DEFAULT_POLICY) -> Check:
    return Check(reader, ActivePolicy(7, policy), AT, "cause", "trace")


def both(check: Check, raw: str) -> tuple[Good | None, Good | str]:
    """What the fast way, if it knows the row, and the full way make of it."""
    simple = SimpleRows(check.reader, check.policy.policy, check.first_sheet)
    fast = None if SURROGATE(raw) else simple.good(3, raw)
    return fast, check.full(check.reader.row(3, raw))


@PROPERTY
@given(ids, texts, currencies, prices, categories, some.sampled_from(["", "", "1"]), factors)
def test_what_the_fast_way_takes_comes_out_as_on_the_full_way(
    product_id: str, name: str, currency: str, price: str, category: str, cost: str, factor: Decimal
) -> None:
    policy = msgspec.structs.replace(DEFAULT_POLICY, max_over_list=factor)
    fast, full = both(check(TABLE, policy), ",".join([product_id, name, currency, price, category, cost]))
    assert fast is None or fast == full


@PROPERTY
@given(prices, ids, texts, texts, texts)
def test_so_do_rows_with_columns_that_are_passed_over_and_constants(
    price: str, product_id: str, first: str, name: str, second: str
) -> None:
    fast, full = both(check(BARE), ",".join([price, product_id, first, name, second]))
    assert fast is None or fast == full


@PROPERTY
@given(simple_prices, simple_ids, simple_texts, simple_names, simple_texts)
def test_the_fast_way_takes_every_simple_row(price: str, product_id: str, first: str, name: str, second: str) -> None:
    fast, full = both(check(BARE), ",".join([price, product_id, first, name, second]))
    assert isinstance(fast, Good)
    assert fast == full


@PROPERTY
@given(
    ids, texts, currencies, some.from_regex(r"[0-9]{1,4}([.,][0-9]{1,5})?", fullmatch=True), categories,
    some.sampled_from([",", ";", "\t", "|"]), some.sampled_from([None, "point", "comma"]),
    some.sampled_from(["", "x", ";"]),
)  # fmt: skip
def test_so_do_rows_with_any_delimiter_and_decimal_mark(  # the cells of a row, and its form
    product_id: str, name: str, currency: str, price: str, category: str, delimiter: str, decimal: DecimalMark | None,
    more: str,
) -> None:  # fmt: skip
    reader = msgspec.structs.replace(TABLE, delimiter=delimiter, decimal=decimal)
    fast, full = both(check(reader), delimiter.join([product_id, name, currency, price, category, "", more]))
    assert fast is None or fast == full


@pytest.mark.parametrize(("delimiter", "price"), [(";", "12,50"), ("\t", "12,5"), ("|", "12.50"), (";", "1234,50")])
def test_tables_of_spreadsheet_programs_are_taken_by_the_fast_way(delimiter: str, price: str) -> None:
    reader = msgspec.structs.replace(TABLE, delimiter=delimiter)
    fast, full = both(check(reader), delimiter.join(["A-1", "Kettle, red", "eur", price, "home", "", ""]))
    assert isinstance(fast, Good)
    assert fast == full


class OnlyFast(Check, frozen=True):
    """A check without its full way."""

    def full(self, row: Row) -> Good | str:
        raise AssertionError(f"the full way was taken for {row}")


def test_a_block_of_simple_rows_is_checked_without_the_full_way() -> None:
    fast = OnlyFast(TABLE, ActivePolicy(7, DEFAULT_POLICY), AT, "cause", "trace")
    block = Block(2, "A-1,Kettle,USD,12.5,,\nA-2,Lampe für 2,EUR,3,home,\n")
    assert fast.checked(block) == check(TABLE).checked(block)
    assert fast.checked(block).product_ids == ["A-1", "A-2"]


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD", "CLF"])
@pytest.mark.parametrize("category", ["", "electronics", "grocery", "fashion", "home", "a b"])
def test_a_simple_row_is_taken_whatever_its_category_and_currency(currency: str, category: str) -> None:
    fast, full = both(check(TABLE), f"A-1,Läufer 2%,{currency},1234,{category},")
    assert isinstance(fast, Good)
    assert fast == full


@pytest.mark.parametrize("factor", ["0.9999", "1", "1.5", "10", "100"])
def test_a_policy_whose_ceiling_changes_the_price_leaves_nothing_to_the_fast_way(factor: str) -> None:
    policy = msgspec.structs.replace(DEFAULT_POLICY, max_over_list=Decimal(factor))
    fast, full = both(check(TABLE, policy), "A-1,Kettle,USD,12.5,,")
    assert fast == (None if Decimal(factor) < 1 else full)


@pytest.mark.parametrize(
    ("name", "is_fast"),
    [
        ("100 %", True),
        ('a "b"', True),
        ("back\\slash", True),
        ("PROBE-31", True),
        ("tab\tbed", True),
        ("82374.65", False),  # the price of a probe: the sheet cannot be cut at it
    ],
)
def test_the_names_of_strategies_do_no_harm(name: str, is_fast: bool) -> None:
    strategies = {name: DEFAULT_POLICY.strategies["match"]}
    policy = msgspec.structs.replace(DEFAULT_POLICY, strategies=strategies, categories={}, default_strategy=name)
    for price in ("1", "31", "0.31", "123.45"):
        fast, full = both(check(TABLE, policy), f"A-1,Kettle,USD,{price},,")
        assert fast == (full if is_fast else None)
