"""The fast way of simple entries comes to what the full one does, to the byte."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.importing.chunks import Block
from shared.importing.entry_checking import EntryCheck
from shared.importing.numbers import DecimalMark
from shared.importing.rows import Reader, Row
from shared.importing.simple_entries import GoodEntry, SimpleEntries
from tests.support.pricing_examples import PROPERTY

COLUMNS = ("product_id", "amount", "customer_id", "currency", "from", "until", "zone", "tier_mode")
TABLE = Reader({}, [(name, at) for at, name in enumerate(COLUMNS)], len(COLUMNS))

amounts = some.from_regex(r"[0-9]{1,13}([.,][0-9]{1,7})?", fullmatch=True) | some.text(max_size=4)
texts = some.text(some.characters(codec="ascii", exclude_characters='"\r\n,'), max_size=66)
times = some.sampled_from(["", "2026-11-27", "2026-12-01T00:00:00", "2026-03-29T02:30:00", "2027-01-01T00:00Z", "soon"])
zones = some.sampled_from(["", "UTC", "Europe/Berlin", "Mars"])


def check(currency: str | None = None) -> EntryCheck:
    return EntryCheck(TABLE, "l", 3, currency, False)


@PROPERTY
@given(
    some.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/ -]{0,130}", fullmatch=True) | texts, amounts, texts,
    some.sampled_from(["", "USD", "EUR", "usd"]), times, times, zones, some.sampled_from(["", "", "volume"]),
    some.sampled_from([None, "USD"]), some.sampled_from([",", ";", "\t"]), some.sampled_from([None, "point", "comma"]),
)  # fmt: skip
def test_a_row_comes_out_as_on_the_full_way(  # the cells of a row
    product_id: str, amount: str, customer: str, currency: str, opens: str, closes: str, zone: str, mode: str,
    of_list: str | None, delimiter: str, decimal: DecimalMark | None,
) -> None:  # fmt: skip
    table = msgspec.structs.replace(TABLE, delimiter=delimiter, decimal=decimal)
    raw = delimiter.join([product_id, amount, customer, currency, opens, closes, zone, mode])
    fast = SimpleEntries(table, "l", 3, of_list).good(7, raw)
    full = EntryCheck(table, "l", 3, of_list, False).full([table.row(7, raw)])
    assert fast is None or fast == full


def test_columns_that_a_map_leaves_out_take_no_row_to_the_full_way() -> None:
    table = Reader({}, [("product_id", 2), ("amount", 0)], 3)
    check, raw = EntryCheck(table, "l", 3, None, False), "12.5,a note,A-1"
    assert SimpleEntries(table, "l", 3, None).good(2, raw) == check.full([table.row(2, raw)])


class OnlyFast(EntryCheck, frozen=True):
    """A check without its full way."""

    def full(self, group: list[Row]) -> GoodEntry:
        raise AssertionError(f"the full way was taken for {group}")


@pytest.mark.parametrize("window", [",,", "2026-11-27,2026-12-01,Europe/Berlin"])
def test_simple_rows_are_checked_without_the_full_way(window: str) -> None:
    block = Block(2, f"A-1,12.5,,USD,{window},\nA-2,0.000001,c-1,,{window},\n")
    fast = OnlyFast(TABLE, "l", 3, None, False).checked(block)
    assert fast == check().checked(block)
    assert [(one.product_id, one.line, one.currency) for one in fast.good] == [("A-1", 2, "USD"), ("A-2", 3, "")]
