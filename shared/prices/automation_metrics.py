"""Metrics of automation, from PostgreSQL."""

from collections.abc import Iterator

import psycopg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.postgres.pools import Conn, Pool


class Automation(Collector):
    """The open holds by code, whether the breaker is open, and the products that it has counted."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All figures; none while PostgreSQL is away."""
        try:
            with self._pool.connection() as conn:
                held = open_holds(conn)
                [row] = conn.execute(_BREAKER).fetchall()
        except psycopg.Error:
            return
        family = GaugeMetricFamily("pricing_holds_open", "Targets that wait for a person", labels=["code"])
        for code in ("hold_above", "below_cost", "breaker"):
            family.add_metric([code], held.get(code, 0))
        yield family
        stopped = "1 while the breaker has stopped automation"
        yield GaugeMetricFamily("pricing_automation_stopped", stopped, value=float(row["is_open"]))
        moved = "Products whose targets moved too far within the breaker's window"
        yield GaugeMetricFamily("pricing_breaker_moved_products", moved, value=row["moved"])


def open_holds(conn: Conn) -> dict[str, int]:
    """The number of open holds by code; codes without one are left out."""
    return {row["code"]: row["n"] for row in conn.execute(_HELD)}


_HELD = "SELECT code, count(*) AS n FROM holds WHERE status = 'open' GROUP BY code"
_BREAKER = "SELECT is_open, (SELECT count(*) FROM breaker_moves) AS moved FROM breaker"
