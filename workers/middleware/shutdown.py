"""The shutdown of a worker process: prompt, and with everything closed."""

import signal
import sys
from types import FrameType

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from shared.settings import Settings
from workers.services import Services


class Cleanup(Middleware):
    """Stops running jobs from taking more work, then closes the process's services, which also flushes the traces."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Set `stopping`."""
        self._services.stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Close the services."""
        self._services.close()


class PromptEnd(Middleware):
    """Stops the worker as soon as SIGTERM arrives; Dramatiq's own loop checks for it once a second."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_ms = settings.drain_timeout_s * 1000

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Handle the first SIGTERM; Dramatiq handles a second one."""

        def end(signum: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGTERM, previous)
            worker.stop(timeout=self._timeout_ms)
            broker.close()
            sys.exit(0)

        previous = signal.signal(signal.SIGTERM, end)
