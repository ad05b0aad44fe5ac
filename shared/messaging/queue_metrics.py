"""What Redis knows of the queues, for the metrics."""

from collections.abc import Iterator

import redis
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.messaging.broker import NAMESPACE
from shared.messaging.messages import EVENTS_QUEUE, TASKS_QUEUE

# Dramatiq's own names, behind the queue's: what is due, what waits for its next attempt, what it has given up.
STATES = {"due": "", "delayed": ".DQ", "dead": ".XQ"}


class Messages(Collector):
    """How many messages are in the queues of Redis, over all processes and machines.

    PostgreSQL has what is to be done; this says whether somebody was rung for.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All figures of one look; while Redis is away only that it is."""
        try:
            counts = self._counts()
        except redis.RedisError:
            counts = {}
        yield GaugeMetricFamily("pricing_redis_up", "Whether Redis answers the listener", value=bool(counts))
        if counts:
            family = GaugeMetricFamily("pricing_messages", "Messages in Redis", labels=["queue", "state"])
            for labels, count in counts.items():
                family.add_metric(labels, count)
            yield family

    def _counts(self) -> dict[tuple[str, str], int]:
        asked = [(queue, state) for queue in (EVENTS_QUEUE, TASKS_QUEUE) for state in STATES]
        with self._client.pipeline(transaction=False) as pipeline:
            for queue, state in asked:
                key = f"{NAMESPACE}:{queue}{STATES[state]}"
                if state == "dead":
                    pipeline.zcard(key)
                else:
                    pipeline.llen(key)
            return dict(zip(asked, pipeline.execute(), strict=True))
