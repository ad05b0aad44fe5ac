"""The start of each worker process under Dramatiq: the broker with its middleware and actors."""

import os
import sys

import dramatiq
from dramatiq.middleware import AgeLimit, Middleware, Retries, ShutdownNotifications, TimeLimit

from shared.messaging import broker
from shared.processes import exit_with_parent, freeze_gc, prepare_structs
from shared.settings import load
from shared.telemetry import logs, tracing
from workers import actors, services
from workers.middleware.metrics_server import MetricsServer
from workers.middleware.outcomes import Outcomes, worth_a_retry
from workers.middleware.shutdown import Cleanup, PromptEnd
from workers.middleware.tracing import Tracing
from workers.services import Services

MIN_BACKOFF_MS = 200
MAX_BACKOFF_MS = 30_000


# Where the CPU is short, the API's processes come first.
NICENESS = 10
# A thread that decides lets the others go on after this time; Python's default is 5 ms. An event, or the call of a
# webhook, waits for it after each answer of a server.
SWITCH_S = 0.001


def create_broker() -> None:
    """Build the process's services and register the actors; Dramatiq's command line calls it in each worker process."""
    os.nice(NICENESS)
    sys.setswitchinterval(SWITCH_S)
    settings = load()
    logs.configure(services.PROCESS, settings)
    exit_with_parent(grace_s=settings.drain_timeout_s)
    prepare_structs()
    provider = tracing.configure(services.PROCESS, settings)
    running = services.build(settings, provider)
    consuming = broker.create(running.queue, middleware(running))
    actors.register(consuming, running)
    dramatiq.set_broker(consuming)
    freeze_gc()


def middleware(running: Services) -> list[Middleware]:
    """The middleware of a worker process, in its order before an actor.

    After an actor the order is reversed: `Outcomes` runs after `Retries` has decided, and `Tracing` runs last.
    """
    return [
        Cleanup(running),
        PromptEnd(running.settings),
        MetricsServer(running.settings),
        Tracing(),
        Outcomes(),
        Retries(retry_when=worth_a_retry, min_backoff=MIN_BACKOFF_MS, max_backoff=MAX_BACKOFF_MS),
        AgeLimit(),
        TimeLimit(),
        ShutdownNotifications(),
        broker.abortable(running.queue),
    ]
