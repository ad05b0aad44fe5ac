"""Metrics of signals, from PostgreSQL."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.errors import DatabaseUnavailable, translated
from shared.market_events import signal_sources
from shared.postgres.pools import Pool
from shared.pricing.policy import Policy
from shared.rulebook import store as rulebook


class SignalAges(Collector):
    """The age of each sender's newest signal, of up to 100 senders, and the age from which offers do not count."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All figures; none while PostgreSQL is away."""
        try:
            with translated(), self._pool.connection() as conn:
                found = signal_sources.ages(conn)
                max_age_h = _max_age_h(rulebook.active_policy(conn).policy)
        except (DatabaseUnavailable, LookupError):
            return
        ages = GaugeMetricFamily(
            "pricing_newest_signal_age_seconds", "Age of the newest signal of a sender", labels=["kind", "source"]
        )
        for sender in found:
            ages.add_metric([sender.kind, sender.source], sender.age_s)
        yield ages
        if max_age_h is not None:
            limit = "Age from which an offer does not count, by the strictest strategy of the policy"
            yield GaugeMetricFamily("pricing_signal_max_age_seconds", limit, value=max_age_h * 3600)


def _max_age_h(policy: Policy) -> int | None:
    rules = [strategy.competitor for strategy in policy.strategies.values()]
    return min((rule.max_age_h for rule in rules if rule is not None and rule.max_age_h is not None), default=None)
