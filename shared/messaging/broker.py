"""The Dramatiq broker on Redis, with this engine's bounds in place of Dramatiq's defaults."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any
from uuid import uuid4

import redis
from dramatiq.broker import Broker, Consumer
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
from dramatiq_abort import Abortable
from dramatiq_abort.backends import RedisBackend

from shared.errors import RedisUnavailable, translate
from shared.messaging.polling import WaitingConsumer

NAMESPACE = "pricing:dramatiq"
# Events have a queue of their own, so that they never wait behind a run.
EVENTS_QUEUE = "events"
TASKS_QUEUE = "tasks"
# A worker without a heartbeat for 15 s counts as crashed; the others check on every tenth command. With the defaults,
# 60 s and every thousandth, a crashed worker's messages waited for up to 13 minutes.
HEARTBEAT_TIMEOUT_MS = 15_000
MAINTENANCE_PER_MILLION = 100_000
# Longer than a message can wait between two attempts.
ABORT_TTL_MS = 600_000

# The server is looked at so often.
LOOK_EVERY_S = 1.0

# Dramatiq's maintenance looks for the messages that a crashed worker held by KEYS, which stops Redis for as long as it
# passes every key of the database. Their names are known.
_KEYS = 'local ack_queues = redis.call("keys", dead_worker_acks .. "*")'
_KNOWN_KEYS = f"""local ack_queues = {{}}
        for _, name in ipairs({{queue_name, "{EVENTS_QUEUE}", "{TASKS_QUEUE}"}}) do
            for _, key in ipairs({{name, name .. ".DQ"}}) do
                if redis.call("exists", dead_worker_acks .. "." .. key) > 0 then table.insert(ack_queues, key) end
            end
        end"""


class LossProofBroker(RedisBroker):
    """A Redis broker that strands no message when a reply is lost, and never passes over all keys.

    Redis assigns a message to the id of a worker, and redelivers it once that id has no heartbeat. If the reply to a
    fetch is lost, no worker works on the message, and the id keeps its heartbeat: the message would wait for ever. So
    the worker changes its id. Messages held under the old id are redelivered after 15 s, as after a crash. It does the
    same when the server is another one: a promoted replica may lack acknowledgements. The lost reply to any other
    command becomes a ConnectionError, and so does the refusal of a Redis that is full or a replica; Dramatiq then
    repeats an acknowledgement until it succeeds.
    """

    def __init__(self, client: redis.Redis, **options: Any) -> None:
        """A broker on this client; the other options are Dramatiq's."""
        super().__init__(client=client, **options)  # type: ignore[no-untyped-call] # Dramatiq has no types here
        self.scripts["dispatch"] = client.register_script(_DISPATCH)
        self._server: str | None = None
        self._look_at = 0.0

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer of a queue, which waits for its messages."""
        consumer = super().consume(queue_name, prefetch, timeout)
        key = f"{self.namespace}:{queue_name}"
        return WaitingConsumer(consumer, self.client, key, queue_name, self._notice_failover)

    def _notice_failover(self) -> None:
        """Change the id of this worker if the server is another one than a second ago."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_EVERY_S
        with suppress(redis.RedisError):
            server = self.client.info("server").get("run_id")
            if server != self._server and self._server is not None:
                self.broker_id = str(uuid4())
            self._server = server

    def _dispatch(self, command: str) -> Callable[..., Any]:
        dispatch = super()._dispatch(command)  # type: ignore[no-untyped-call] # Dramatiq has no types here

        def answered(queue_name: str, *args: Any) -> Any:
            try:
                return dispatch(queue_name, *args)
            except redis.RedisError as error:
                if not isinstance(translate(error), RedisUnavailable):
                    raise
                if command == "fetch" and isinstance(error, redis.ConnectionError | redis.TimeoutError):
                    self.broker_id = str(uuid4())
                raise redis.ConnectionError(str(error)) from error

        return answered


def without_keys(script: str) -> str:
    """Dramatiq's script with its one KEYS replaced.

    Raises:
        RuntimeError: this release of Dramatiq has another script.
    """
    if script.count(_KEYS) != 1:
        raise RuntimeError("Dramatiq's script has changed: replace its KEYS anew in shared/messaging/broker.py")
    return script.replace(_KEYS, _KNOWN_KEYS)


_DISPATCH = without_keys((files("dramatiq.brokers") / "redis" / "dispatch.lua").read_text())


def create(client: redis.Redis, middleware: Sequence[Middleware] = ()) -> Broker:
    """A broker that is not registered globally; senders need no middleware.

    Args:
        client: Connected to the Redis of the queues.
        middleware: In the order in which it runs before an actor; after the actor it runs in the reverse order.
    """
    return LossProofBroker(
        client=client,
        middleware=list(middleware),
        namespace=NAMESPACE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_PER_MILLION,
    )


def abortable(client: redis.Redis) -> Abortable:
    """The middleware that interrupts a running actor; senders request the abort with it."""
    return Abortable(backend=RedisBackend(client=client, namespace=f"{NAMESPACE}:aborts:"), abort_ttl=ABORT_TTL_MS)
