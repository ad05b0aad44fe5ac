"""Arrays in PostgreSQL's text format. Every test that writes prices shows that PostgreSQL reads them."""

import pytest
from psycopg import DataError

from shared.postgres import arrays


def test_texts_are_quoted_and_their_quotes_and_backslashes_are_escaped() -> None:
    assert arrays.texts([]) == "{}"
    assert arrays.texts([""]) == '{""}'
    assert arrays.texts(['{"a": "b\\n"}', "NULL", "x,y"]) == r'{"{\"a\": \"b\\n\"}","NULL","x,y"}'


@pytest.mark.parametrize("values", [["a\0b"], ["\0", "b"], ["a", "b\0"]])
def test_a_nul_is_refused_and_never_splits_a_text(values: list[str]) -> None:
    with pytest.raises(DataError, match="NUL"):
        arrays.texts(values)
