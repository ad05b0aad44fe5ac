"""Metrics of the queues in Redis."""

from collections.abc import Iterator

import redis
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.messaging.broker import NAMESPACE
from shared.messaging.messages import EVENTS_QUEUE, TASKS_QUEUE

# Dramatiq's suffixes of a queue's key: due messages, messages that wait for their next attempt, dead letters.
STATES = {"due": "", "delayed": ".DQ", "dead": ".XQ"}


class Messages(Collector):
    """The number of messages in the queues of Redis, over all processes and machines.

    The work itself is in PostgreSQL; these are the messages that were enqueued for it.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All figures of one read; while Redis is away only `pricing_redis_up`."""
        try:
            counts = self._counts()
        except redis.RedisError:
            counts = {}
        yield GaugeMetricFamily("pricing_redis_up", "Whether Redis responds to the listener", value=bool(counts))
        if counts:
            family = GaugeMetricFamily("pricing_messages", "Messages in Redis", labels=["queue", "state"])
            for labels, count in counts.items():
                family.add_metric(labels, count)
            yield family

    def _counts(self) -> dict[tuple[str, str], int]:
        labels = [(queue, state) for queue in (EVENTS_QUEUE, TASKS_QUEUE) for state in STATES]
        with self._client.pipeline(transaction=False) as pipeline:
            for queue, state in labels:
                key = f"{NAMESPACE}:{queue}{STATES[state]}"
                if state == "dead":
                    pipeline.zcard(key)
                else:
                    pipeline.llen(key)
            return dict(zip(labels, pipeline.execute(), strict=True))
