"""The metrics of all worker processes, and their health, at one port."""

import threading
import time

from dramatiq import Broker
from dramatiq.middleware import Middleware

from shared.messaging.messages import EVENTS_QUEUE, TASKS_QUEUE
from shared.postgres import clock
from shared.settings import Settings
from shared.telemetry import heartbeats, metrics_server

METRICS_PORT_RETRY_S = 2
# The workers are ready while all of these succeed in every process.
LOOPS = (EVENTS_QUEUE, TASKS_QUEUE, clock.LOOP)


class MetricsServer(Middleware):
    """Serves the metrics and the health of all worker processes, from the one that has bound the port.

    Dramatiq could fork a process for this, but would not notice its crash.
    """

    def __init__(self, settings: Settings) -> None:
        self._address = settings.host, settings.worker_metrics_port

    def after_process_boot(self, broker: Broker) -> None:
        """Start serving."""
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                metrics_server.start(*self._address, lambda: heartbeats.health(LOOPS))
            except OSError:
                time.sleep(METRICS_PORT_RETRY_S)
            else:
                return
