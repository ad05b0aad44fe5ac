"""The difference between the host's clock and PostgreSQL's."""

import time

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
