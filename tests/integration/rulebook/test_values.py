"""Market values: added row by row, each in force from an instant on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.errors import InvalidInput
from shared.postgres.pools import Conn
from shared.pricing.exchange import MarketValues, in_force
from shared.rulebook import exchange_rates, values
from shared.rulebook.exchange_rates import NewRate
from shared.rulebook.values import By, NewValue

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BY = By("ann", "test")


def current(loaded: MarketValues, code: str) -> Decimal | None:
    return loaded.multipliers[code][-1].value


def test_a_write_is_one_version_and_one_that_says_the_same_is_none(conn: Conn) -> None:
    rows = [NewValue("multiplier", "NY", Decimal("1.1")), NewValue("exchange_rate", "EUR/USD", Decimal("1.2"))]
    assert values.add(conn, rows, BY) == 1
    assert values.add(conn, rows, BY) == 1
    assert values.add(conn, [NewValue("multiplier", "ny ", Decimal("1.10"))], BY) == 1
    assert values.add(conn, [rows[0]._replace(value=Decimal("1.3")), rows[1]], BY) == 2
    loaded = values.load(conn)
    assert (loaded.version, current(loaded, "NY")) == (2, Decimal("1.3"))
    rate = loaded.rate("EUR", "USD", datetime.now(UTC) + timedelta(seconds=1))
    assert rate is not None


def test_a_deleted_multiplier_is_no_market_any_more(conn: Conn) -> None:
    values.add(conn, [NewValue("multiplier", "NY", Decimal("1.1"))], BY)
    assert values.add(conn, [NewValue("multiplier", "NY", None)], BY) == 2
    assert values.load(conn).multipliers == {}
    assert values.add(conn, [NewValue("multiplier", "LA", None)], BY) == 2


def test_a_value_is_in_force_from_its_instant_on(conn: Conn) -> None:
    later = NOON + timedelta(days=400)
    values.add(conn, [NewValue("exchange_rate", "EUR/USD", Decimal("1.1"), NOON)], BY)
    values.add(conn, [NewValue("exchange_rate", "EUR/USD", Decimal("1.3"), later)], BY)
    values.add(conn, [NewValue("exchange_rate", "EUR/USD", Decimal("1.2"), NOON + timedelta(days=1))], BY)
    assert values.add(conn, [NewValue("exchange_rate", "EUR/USD", Decimal("1.2"), NOON + timedelta(days=2))], BY) == 3
    loaded = values.load(conn, NOON + timedelta(days=3))
    [timeline] = loaded.rates.values()
    assert [row.value for row in timeline] == [Decimal("1.2"), Decimal("1.3")]
    assert in_force(timeline, later).value == Decimal("1.3")


def test_a_rate_of_the_past_contradicts_none_of_today(conn: Conn) -> None:
    exchange_rates.put(conn, [NewRate("EUR", "USD", Decimal("1.1"))], BY)
    exchange_rates.put(conn, [NewRate("USD", "EUR", Decimal("0.8"), NOON)], BY)
    with pytest.raises(InvalidInput, match="inverse"):
        exchange_rates.put(conn, [NewRate("USD", "EUR", Decimal("0.8"))], BY)


def test_an_event_of_an_earlier_time_is_superseded_and_the_same_one_counts_once(conn: Conn) -> None:
    first = values.apply_event(conn, "NY", Decimal("1.1"), NOON, "b")
    assert values.apply_event(conn, "NY", Decimal("1.1"), NOON, "b") == first == 1
    assert values.apply_event(conn, "ny", Decimal("1.2"), NOON - timedelta(seconds=1), "c") is None
    # Of equal times the later one counts, whatever its id.
    assert values.apply_event(conn, "NY", Decimal("1.3"), NOON, "a") == 2
    # The same multiplier at a later time makes no version, and supersedes what came before it.
    assert values.apply_event(conn, "NY", Decimal("1.3"), NOON + timedelta(seconds=9), "d") == 2
    assert values.apply_event(conn, "NY", Decimal("1.4"), NOON + timedelta(seconds=5), "e") is None
    assert current(values.load(conn), "NY") == Decimal("1.3")
