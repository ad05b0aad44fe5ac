"""The rate of an import is shown where it says something about the import."""

import pytest

from shared.commands.import_progress import speed


@pytest.mark.parametrize(
    ("rows", "seconds", "shown"),
    [
        (20, 0.8, "0.8 s"),
        (20, 2.0, "2.0 s"),
        (5_000, 0.9, "0.9 s"),
        (0, 0.0, "0.0 s"),
        (50_000, 2.0, "2.0 s, 25,000 rows/s"),
    ],
)
def test_a_short_import_has_no_rate(rows: int, seconds: float, shown: str) -> None:
    assert speed(rows, seconds) == shown
