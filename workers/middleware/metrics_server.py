"""The metrics of all worker processes at one port."""

import threading
import time

from dramatiq import Broker
from dramatiq.middleware import Middleware
from prometheus_client import start_http_server

from shared.settings import Settings
from shared.telemetry.exposition import group_registry

METRICS_PORT_RETRY_S = 2


class MetricsServer(Middleware):
    """Answers scrapes for all worker processes, from whichever of them has the port.

    Dramatiq could fork a process for it, but would not notice that process's death.
    """

    def __init__(self, settings: Settings) -> None:
        self._address = settings.worker_metrics_port, settings.host

    def after_process_boot(self, broker: Broker) -> None:
        """Begin to serve."""
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                start_http_server(*self._address, group_registry())
            except OSError:
                time.sleep(METRICS_PORT_RETRY_S)
            else:
                return
