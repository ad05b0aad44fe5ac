"""The difference between the host's clock and PostgreSQL's."""

import time
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from shared.postgres import clock
from shared.postgres.pools import Pool
from tests.support.waiting import eventually

# Far more than a round trip to a busy server.
AHEAD_S = 100_000.0


def offset() -> float:
    return REGISTRY.get_sample_value("pricing_clock_offset_seconds") or 0.0


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host's clock is a day ahead."""
    now = time.time
    monkeypatch.setattr("shared.postgres.clock.time.time", lambda: now() + AHEAD_S)


def test_clocks_of_one_host_agree(pool: Pool) -> None:
    with pool.connection() as conn:
        assert abs(clock.offset_s(conn)) < AHEAD_S / 100


@pytest.mark.usefixtures("ahead")
def test_a_clock_that_is_ahead_is_in_the_metric_by_how_much(pool: Pool) -> None:
    with clock.watched(pool, every_s=0.01):
        eventually(lambda: offset() > AHEAD_S * 0.99, "the offset is measured")


@pytest.mark.usefixtures("ahead")
def test_the_time_that_a_process_estimates_is_that_of_postgresql(pool: Pool) -> None:
    with clock.watched(pool, every_s=0.01) as watched:
        eventually(lambda: watched.ahead_s > AHEAD_S * 0.99, "the offset is measured")
        # `datetime` still has the right time: only the comparison believes that it is ahead.
        assert (datetime.now(UTC) - watched.now()).total_seconds() > AHEAD_S * 0.99


def test_the_comparison_goes_on_after_an_error(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[float] = []

    def fails_first(_: object) -> float:
        compared.append(1.0)
        if len(compared) == 1:
            raise ValueError("nonsense")
        return 7.0

    monkeypatch.setattr(clock, "offset_s", fails_first)
    with clock.watched(pool, every_s=0.01):
        eventually(lambda: offset() == 7.0, "the offset is measured again")
