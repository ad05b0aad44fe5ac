"""Cursors lead to the next page; whatever else is sent as one is refused."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from api.http import cursors
from shared.errors import InvalidInput

POSITION = (datetime(2026, 1, 31, 12, 0, 0, 123456, UTC), uuid4())
TYPE = tuple[datetime, UUID]


def test_a_cursor_is_read_as_it_was_written() -> None:
    cursor = cursors.encode(POSITION)
    assert cursors.decode(cursor, TYPE) == POSITION
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert cursors.decode(cursors.encode("P-é"), str) == "P-é"


def test_the_first_page_needs_no_cursor() -> None:
    assert cursors.decode(None, TYPE) is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "P-100",
        "é",
        "====",
        "A" * 10_000,
        cursors.encode("P-1"),
        cursors.encode(["x", "y"]),
        cursors.encode({}),
    ],
)
def test_anything_else_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        cursors.decode(cursor, TYPE)
    assert refused.value.path == "$.cursor"


@pytest.mark.parametrize(("found", "page"), [([], ([], None)), ([1, 2], ([1, 2], None)), ([1, 2, 3], ([1, 2], 2))])
def test_one_more_than_fits_tells_of_another_page(found: list[int], page: object) -> None:
    assert cursors.split(found, 2) == page
