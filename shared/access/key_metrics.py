"""A metric whose figures are in PostgreSQL: admin keys of former starts that still work."""

from collections.abc import Iterator

import psycopg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.access import keys
from shared.postgres.pools import Pool


class FormerAdminKeys(Collector):
    """The ids of live admin keys that the last start was not given."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """A sample for each key; none while PostgreSQL is away."""
        family = GaugeMetricFamily(
            "pricing_former_admin_key", "1 for each admin key of a former start that still works", labels=["key_id"]
        )
        try:
            with self._pool.connection() as conn:
                found = keys.former_admin_keys(conn)
        except psycopg.Error:
            return
        for key_id in found:
            family.add_metric([str(key_id)], 1)
        yield family
