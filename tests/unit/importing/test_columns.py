"""The columns of a file: what is refused, and what helps."""

import pytest

from shared.importing.columns import Columns, RefusedFile


def test_a_header_in_other_words_is_refused_with_the_option_that_maps_it() -> None:
    with pytest.raises(RefusedFile, match="no column product_id; --map product_id=THEIRS,… names the file's columns; "):
        Columns().positions(["Artikelnummer", "Bezeichnung"])
    with pytest.raises(RefusedFile, match="--map names no column product_id; columns: "):
        Columns({"name": "Bezeichnung"}).positions(["Artikelnummer", "Bezeichnung"])
