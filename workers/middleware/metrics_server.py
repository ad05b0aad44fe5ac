"""The metrics of all worker processes, at one port."""

import threading
import time

from dramatiq import Broker
from dramatiq.middleware import Middleware
from prometheus_client import start_http_server

from shared.settings import Settings
from shared.telemetry.exposition import group_registry

METRICS_PORT_RETRY_S = 2


class MetricsServer(Middleware):
    """Serves the metrics of all worker processes, from the one that has bound the port.

    Dramatiq could fork a process for this, but would not notice its crash.
    """

    def __init__(self, settings: Settings) -> None:
        self._address = settings.worker_metrics_port, settings.host

    def after_process_boot(self, broker: Broker) -> None:
        """Start serving."""
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                start_http_server(*self._address, group_registry())
            except OSError:
                time.sleep(METRICS_PORT_RETRY_S)
            else:
                return
