"""The Dramatiq broker on Redis, with this engine's bounds in place of Dramatiq's defaults."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import redis
from dramatiq.broker import Broker, Consumer
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
from dramatiq_abort import Abortable
from dramatiq_abort.backends import RedisBackend

NAMESPACE = "pricing:dramatiq"
# A worker that says nothing for 15 s is gone; others look on every tenth command. The defaults, 60 s and
# every thousandth, left a killed worker's messages waiting for up to 13 minutes.
HEARTBEAT_TIMEOUT_MS = 15_000
MAINTENANCE_PER_MILLION = 100_000
# Longer than a message can wait between two attempts.
ABORT_TTL_MS = 600_000
# An idle consumer polls. Nobody waits for a retry or a run as for an event, and each poll costs 0.3 ms of CPU.
PATIENT_POLL_MS = 250


class LossProofBroker(RedisBroker):
    """A Redis broker that strands no message when a reply is lost.

    Redis gives a message to a worker by its name, for as long as that worker is heard of. Where the reply to a
    fetch is lost, nobody knows of the message, and the worker lives: it would wait for ever. So the worker takes
    a new name: what it held under the old one is given out again after 15 s, as if it had died. A lost reply to
    anything else is told as a lost connection, upon which Dramatiq repeats an acknowledgement until it is answered.

    Attributes:
        urgent_queues: Those that are polled as often as the worker says; the others less often.
    """

    urgent_queues: frozenset[str] = frozenset()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer that, where the queue holds retries or runs, sleeps longer when it is idle."""
        is_patient = queue_name not in self.urgent_queues
        consumer: Consumer = super().consume(
            queue_name, prefetch, max(timeout, PATIENT_POLL_MS) if is_patient else timeout
        )
        return consumer

    def _dispatch(self, command: str) -> Callable[..., Any]:
        dispatch = super()._dispatch(command)  # type: ignore[no-untyped-call] # Dramatiq has no types here

        def answered(queue_name: str, *args: Any) -> Any:
            try:
                return dispatch(queue_name, *args)
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if command == "fetch":
                    self.broker_id = str(uuid4())
                raise redis.ConnectionError(str(error)) from error

        return answered


def create(client: redis.Redis, middleware: Sequence[Middleware] = (), urgent: Sequence[str] = ()) -> Broker:
    """A broker that nothing global knows of; senders need no middleware.

    Args:
        client: Connected to the Redis of the queues.
        middleware: In the order in which they see a message before its actor; the reverse after it.
        urgent: Queues that a worker polls every few milliseconds.
    """
    broker = LossProofBroker(  # type: ignore[no-untyped-call] # Dramatiq has no types here
        client=client,
        middleware=list(middleware),
        namespace=NAMESPACE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_PER_MILLION,
    )
    broker.urgent_queues = frozenset(urgent)
    return broker


def abortable(client: redis.Redis) -> Abortable:
    """The middleware that interrupts a running actor, and the way to tell it so."""
    return Abortable(backend=RedisBackend(client=client, namespace=f"{NAMESPACE}:aborts:"), abort_ttl=ABORT_TTL_MS)
