"""Files of exchange rates: our own form and the two of the European Central Bank."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from shared.errors import InvalidInput
from shared.rulebook import rate_files
from shared.rulebook.exchange_rates import NewRate


def test_our_own_form_has_a_pair_in_each_line() -> None:
    found = rate_files.read("from,to,rate\nEUR,USD,1.0836\n\nUSD, JPY ,149.2\n")
    assert found == [NewRate("EUR", "USD", Decimal("1.0836")), NewRate("USD", "JPY", Decimal("149.2"))]


def test_the_banks_daily_form_has_a_column_for_each_currency() -> None:
    found = rate_files.read("Date, USD, JPY, RUB, \n26 November 2026, 1.0836, 161.52, N/A, \n")
    assert found == [NewRate("EUR", "USD", Decimal("1.0836")), NewRate("EUR", "JPY", Decimal("161.52"))]


def test_of_the_banks_history_the_newest_day_is_in_force_from_now_on() -> None:
    """The others since four in the afternoon in Frankfurt, in summer time as well."""
    found = rate_files.read("Date,USD,CYP,\n2026-11-26,1.09,N/A,\n2026-11-25,1.08,,\n2026-07-01,1.07,0.58,\n")
    assert found == [
        NewRate("EUR", "USD", Decimal("1.07"), datetime(2026, 7, 1, 14, tzinfo=UTC)),
        NewRate("EUR", "CYP", Decimal("0.58"), datetime(2026, 7, 1, 14, tzinfo=UTC)),
        NewRate("EUR", "USD", Decimal("1.08"), datetime(2026, 11, 25, 15, tzinfo=UTC)),
        NewRate("EUR", "USD", Decimal("1.09"), None),
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "$[1]"),
        ("EUR,USD,1.1", "$[1]"),
        ("from,to,rate\n", "$"),
        ("from,to,rate\nEUR,USD\n", "$[2]"),
        ("from,to,rate\nEUR,USD,1\nEUR,JPY,1e2\n", "$[3].rate"),
        ("Date,USD\nyesterday,1\n", "$[2]"),
        ("Date,USD,JPY\n2026-11-26,1\n", "$[2]"),
        ("Date,USD\n2026-11-26,one\n", "$[2].rate"),
    ],
)
def test_another_form_is_refused_with_its_line(text: str, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rate_files.read(text)
    assert caught.value.path == path
