"""Figures that only the database has, for the metrics."""

from collections.abc import Iterator

import psycopg
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from shared.catalogue.database import Pool


class PriceStatistics(Collector):
    """Prices recalculated by all workers on all machines, from PostgreSQL's own statistics."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One sample; none while PostgreSQL is away."""
        family = CounterMetricFamily(
            "pricing_prices_recalculated",
            "Prices decided anew, over all workers: rows appended to the price history. The same on every API",
        )
        try:
            with self._pool.connection() as conn:
                row = conn.execute(
                    "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'price_history'"
                ).fetchone()
        except psycopg.Error:
            return
        if row:
            family.add_metric([], row["n_tup_ins"])
            yield family
