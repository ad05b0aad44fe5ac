"""Metrics of webhooks, from PostgreSQL."""

from collections.abc import Iterator

import psycopg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.postgres.pools import Pool


class Webhooks(Collector):
    """The webhooks by status, and the time for which the longest failing one has failed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All figures; none while PostgreSQL is away."""
        try:
            with self._pool.connection() as conn:
                [row] = conn.execute(_FIGURES).fetchall()
        except psycopg.Error:
            return
        family = GaugeMetricFamily("pricing_webhooks", "Webhooks; nothing is sent to suspended ones", labels=["status"])
        for status in ("active", "suspended"):
            family.add_metric([status], row[status])
        yield family
        failing = "Time for which the active webhook that fails the longest has failed"
        yield GaugeMetricFamily("pricing_webhook_failing_seconds", failing, value=float(row["failing_s"]))


_FIGURES = """
SELECT count(*) FILTER (WHERE status = 'active') AS active, count(*) FILTER (WHERE status = 'suspended') AS suspended,
    coalesce(extract(epoch FROM clock_timestamp() - min(failing_since) FILTER (WHERE status = 'active')), 0)
        AS failing_s
FROM webhooks
"""
