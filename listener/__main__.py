"""`python -m listener`: the composition root, and the signals that end it."""

import signal
import sys
import threading
from contextlib import ExitStack

import structlog
from prometheus_client import start_http_server

from listener.bridge import Bridge
from listener.loop import Loop
from shared import logs, telemetry
from shared.catalogue import database
from shared.messaging import channel
from shared.messaging.channel import MARKET_EVENTS
from shared.messaging.link import Link
from shared.messaging.messages import Doorbell
from shared.metrics import group_registry
from shared.settings import InvalidSettings, Settings, load

PROCESS = "pricing-listener"

log = structlog.get_logger(__name__)


def main() -> None:
    """Listen until SIGTERM."""
    try:
        settings = load()
    except InvalidSettings as error:
        sys.exit(str(error))
    logs.configure(PROCESS, settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _run(settings, stop)


def _run(settings: Settings, stop: threading.Event) -> None:
    with ExitStack() as stack:
        stack.callback(telemetry.configure(PROCESS, settings).shutdown)
        pool = database.pool(settings, PROCESS, size=2)
        pool.open(wait=False)
        stack.callback(pool.close)
        queue = channel.client(settings.redis_for("broker"), PROCESS)
        stack.callback(queue.close)
        events = channel.client(settings.redis_for("events"), PROCESS)
        stack.callback(events.close)
        server, _ = start_http_server(settings.listener_metrics_port, settings.host, group_registry())
        stack.callback(server.shutdown)
        log.info("listening", channel=MARKET_EVENTS)
        Loop(Link(events, MARKET_EVENTS), Bridge(pool, Doorbell(queue))).run(stop)


if __name__ == "__main__":
    main()
