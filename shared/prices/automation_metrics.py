"""Metrics of automation, from PostgreSQL."""

from collections.abc import Iterator

import psycopg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.postgres.pools import Pool


class OpenHolds(Collector):
    """The number of open holds by code."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All codes of one read; none while PostgreSQL is away."""
        family = GaugeMetricFamily("pricing_holds_open", "Targets that wait for a person", labels=["code"])
        try:
            with self._pool.connection() as conn:
                found = {row["code"]: row["n"] for row in conn.execute(_COUNTS)}
        except psycopg.Error:
            return
        for code in ("hold_above", "below_cost", "breaker"):
            family.add_metric([code], found.get(code, 0))
        yield family


_COUNTS = "SELECT code, count(*) AS n FROM holds WHERE status = 'open' GROUP BY code"
