"""`python -m api`: Granian with several worker processes."""

import sys

import structlog

from shared import VERSION
from shared.processes import prepare_metrics
from shared.settings import InvalidSettings, Settings, load
from shared.telemetry import logs

log = structlog.get_logger(__name__)

# Connections, idle ones included. Further connections hang, so the limit is above the number that clients keep open.
BACKLOG = 4096


def main() -> None:
    """Serve until SIGTERM."""
    try:
        settings = load()
    except InvalidSettings as error:
        sys.exit(str(error))
    logs.configure("pricing-api", settings)
    prepare_metrics(settings.home_dir, "api")
    address = f"http://{settings.host}:{settings.port}"
    log.info("serving", address=address, processes=settings.api_processes, version=VERSION)
    _serve(settings)
    log.info("ended")


def _serve(settings: Settings) -> None:
    from granian.constants import Interfaces, Loops
    from granian.server import Server

    Server(
        "api.app:create_app",
        factory=True,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        address=settings.host,
        port=settings.port,
        workers=settings.api_processes,
        backlog=BACKLOG,
        backpressure=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=settings.drain_timeout_s,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main()
