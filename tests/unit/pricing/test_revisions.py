"""An entry counts only where its revision is the one that its list's header names."""

import msgspec

from tests.support.shop_examples import entry, quoted, rulebook, shop_sheet


def test_one_write_of_the_header_switches_to_entries_that_were_loaded_beside() -> None:
    former, loaded = entry("l", "80"), msgspec.structs.replace(entry("l", "70"), revision=1)
    for revision, price in ((0, 80), (1, 70), (2, 100)):
        book = rulebook(lists=[{"id": "l", "kind": "override", "revision": revision}])
        assert quoted(book, shop_sheet([former, loaded])).final_price == price
        assert quoted(book, shop_sheet(), contract=[former, loaded], customer_id="c").final_price == price
