"""The end of a worker process: prompt, and with everything closed."""

import signal
import sys
from types import FrameType

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from shared.settings import Settings
from workers.services import Services


class Cleanup(Middleware):
    """Tells running jobs of the end, and closes the process's services after it, which also flushes the traces."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Begin nothing new."""
        self._services.stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Close."""
        self._services.close()


class PromptEnd(Middleware):
    """Stops the worker as soon as SIGTERM arrives; Dramatiq's own loop looks once a second whether it came."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_ms = settings.drain_timeout_s * 1000

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Take SIGTERM over; a second one is Dramatiq's again."""

        def end(signum: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGTERM, dramatiqs)
            worker.stop(timeout=self._timeout_ms)
            broker.close()
            sys.exit(0)

        dramatiqs = signal.signal(signal.SIGTERM, end)
