"""Market events of markets: the latest multiplier counts, once."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest

from shared.errors import LeaseLost
from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Pool
from shared.prices.repricing_queue import market_target
from tests.integration.catalogue_examples import NOON, new_id
from tests.integration.workers.connections import Connections
from tests.integration.workers.event_examples import Events
from workers.jobs import market_events
from workers.services import Services

LATER = NOON + timedelta(seconds=1)


@pytest.fixture
def code() -> str:
    """A market that is not known yet."""
    return f"M-{new_id()}"


def market(pool: Pool, code: str) -> tuple[Decimal, int] | None:
    """A market's multiplier, and how many it has had."""
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT value, count(*) OVER () AS n FROM market_values WHERE name = %s ORDER BY seq DESC LIMIT 1", [code]
        ).fetchone()
    return (row["value"], row["n"]) if row else None


def change(services: Services, events: Events, code: str, **parts: Any) -> None:
    """Apply what waits for a market, whose second is over."""
    events.after(1, market_target(code))
    market_events.change_market(msgspec.structs.replace(services, **parts), code)


def outcome(events: Events, changes: Sequence[Any]) -> list[str]:
    views = [events.view(event) for event in changes]
    assert all((view.version is not None) == (view.status == "applied") for view in views)
    return [view.status for view in views]


def test_an_event_makes_a_market_and_the_next_one_changes_it(
    services: Services, events: Events, pool: Pool, code: str
) -> None:
    first = events.market(code, "1.1")
    change(services, events, code)
    assert market(pool, code) == (Decimal("1.1"), 1)
    second = events.market(code, "1.2", at=LATER)
    change(services, events, code)
    assert market(pool, code) == (Decimal("1.2"), 2)
    assert outcome(events, [first, second]) == ["applied", "applied"]
    versions = [events.view(event).version for event in (first, second)]
    assert None not in versions
    assert versions == sorted(set(versions), key=lambda version: version or 0)


def test_of_several_events_the_latest_counts(services: Services, events: Events, pool: Pool, code: str) -> None:
    latest = events.market(code, "1.2", at=LATER)
    earlier = events.market(code, "1.1")
    change(services, events, code)
    assert market(pool, code) == (Decimal("1.2"), 1)
    assert outcome(events, [earlier, latest]) == ["superseded", "applied"]


def test_an_event_from_before_the_last_change_is_superseded(
    services: Services, events: Events, pool: Pool, code: str
) -> None:
    events.market(code, "1.2", at=LATER)
    change(services, events, code)
    late = events.market(code, "1.1")
    change(services, events, code)
    assert market(pool, code) == (Decimal("1.2"), 1)
    assert outcome(events, [late]) == ["superseded"]


def test_an_event_whose_worker_crashed_after_its_commit_is_applied_once(
    services: Services, events: Events, pool: Pool, code: str
) -> None:
    event = events.market(code, "1.1")
    crashing = Connections(services.pool, crash_at=3)
    with pytest.raises(psycopg.OperationalError):
        change(services, events, code, pool=crashing)
    assert (market(pool, code), events.statuses(event)) == ((Decimal("1.1"), 1), ["received"])
    events.after(LEASE_S, market_target(code))
    change(services, events, code)
    assert market(pool, code) == (Decimal("1.1"), 1)
    assert outcome(events, [event]) == ["applied"]


def test_a_worker_that_lost_its_lease_changes_no_market(
    services: Services, events: Events, pool: Pool, code: str
) -> None:
    event = events.market(code, "1.1")
    target = market_target(code)
    losing = Connections(services.pool, lambda number: events.take_over(target) if number == 2 else None)
    with pytest.raises(LeaseLost):
        change(services, events, code, pool=losing)
    assert (market(pool, code), events.statuses(event)) == (None, ["received"])
    assert not events.queued(target)["is_free"]


def test_an_event_that_this_release_no_longer_accepts_is_rejected_and_the_others_go_on(
    services: Services, events: Events, pool: Pool, code: str
) -> None:
    good = events.market(code, "1.1")
    bad = events.market(code, "1000", at=LATER)
    change(services, events, code)
    assert market(pool, code) == (Decimal("1.1"), 1)
    assert outcome(events, [good, bad]) == ["applied", "rejected"]
    assert "multiplier" in str(events.view(bad).reason)


def test_a_message_that_comes_again_changes_nothing(services: Services, events: Events, pool: Pool, code: str) -> None:
    event = events.market(code, "1.1")
    change(services, events, code)
    view = events.view(event)
    change(services, events, code)
    assert (events.view(event), market(pool, code)) == (view, (Decimal("1.1"), 1))
