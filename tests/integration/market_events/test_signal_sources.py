"""The newest signal of each sender is noted, and a sender that falls silent grows old."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from shared.market_events import signal_sources, signals
from shared.market_events.events import CompetitorPriceChanged
from shared.market_events.signal_metrics import SignalAges
from shared.market_events.signals import SignalUpdate
from shared.postgres.pools import Conn, Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import new_id, product, write

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def product_id(pool: Pool, policy: ActivePolicy) -> str:
    product_id = new_id()
    write(pool, policy, product(product_id))
    return product_id


@pytest.fixture
def sender() -> str:
    return f"erp, {uuid4().hex[:8]}"


def offer(conn: Conn, product_id: str, sender: str, at: datetime) -> None:
    data = CompetitorPriceChanged(product_id=product_id, competitor="acme", price=Decimal(95), currency="USD")
    signals.apply(conn, [SignalUpdate.of(data, sender, at, str(uuid4()))])


def newest(conn: Conn, sender: str) -> datetime | None:
    row = conn.execute("SELECT newest_at FROM signal_sources WHERE source = %s", [sender]).fetchone()
    return row["newest_at"] if row else None


def test_the_sender_is_noted_and_not_the_competitor_and_an_older_signal_changes_nothing(
    pool: Pool, product_id: str, sender: str
) -> None:
    with pool.connection() as conn:
        for at in (NOW - 2 * HOUR, NOW - HOUR, NOW - 3 * HOUR):
            offer(conn, product_id, sender, at)
        assert newest(conn, sender) == NOW - HOUR
        assert newest(conn, "acme") is None


def test_workers_do_not_wait_for_one_another_to_note_a_sender(pool: Pool, product_id: str, sender: str) -> None:
    with pool.connection() as conn:
        offer(conn, product_id, sender, NOW - HOUR)
    with pool.connection() as one, pool.connection() as two:
        signal_sources.note(one, [("competitor", sender, NOW)])
        two.execute("SET LOCAL lock_timeout = '100ms'")
        signal_sources.note(two, [("competitor", sender, NOW)])
        two.rollback()
    with pool.connection() as conn:
        assert newest(conn, sender) == NOW


def test_a_signal_that_is_seconds_newer_is_not_written(pool: Pool, sender: str) -> None:
    with pool.connection() as conn:
        for at in (NOW, NOW + timedelta(seconds=9), NOW + timedelta(seconds=11)):
            signal_sources.note(conn, [("demand", sender, at)])
            seen = newest(conn, sender)
            assert seen == (NOW if at < NOW + timedelta(seconds=10) else at)


def test_the_ages_and_the_greatest_one_are_metrics_and_old_senders_are_forgotten(pool: Pool, sender: str) -> None:
    with pool.connection() as conn:
        signal_sources.note(conn, [("competitor", sender, NOW - HOUR), ("stock", sender, NOW - timedelta(days=31))])
    ages, greatest = SignalAges(pool).collect()
    mine = {one.labels["kind"]: one.value for one in ages.samples if one.labels["source"] == sender}
    assert (ages.name, greatest.name) == ("pricing_newest_signal_age_seconds", "pricing_signal_max_age_seconds")
    assert mine["competitor"] >= HOUR.total_seconds()
    assert greatest.samples[0].value == 168 * HOUR.total_seconds()
    with pool.connection() as conn:
        assert signal_sources.purge(conn, 1_000)
        kinds = conn.execute("SELECT kind FROM signal_sources WHERE source = %s", [sender]).fetchall()
    assert [row["kind"] for row in kinds] == ["competitor"]


def test_a_sender_that_was_used_once_is_forgotten_before_its_silence_is_an_alert(pool: Pool, sender: str) -> None:
    day, feed = timedelta(days=1), f"{sender}, a feed"
    with pool.connection() as conn:
        signal_sources.note(conn, [("competitor", each, NOW - 4 * day) for each in (sender, feed)])
        signal_sources.note(conn, [("competitor", sender, NOW - 4 * day + HOUR / 2)])
        signal_sources.note(conn, [("competitor", feed, NOW - 3.5 * day)])
        signal_sources.purge(conn, 1_000)
        assert (newest(conn, sender), newest(conn, feed)) == (None, NOW - 3.5 * day)
