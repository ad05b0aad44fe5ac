"""`python -m api`: Granian with several worker processes."""

import resource
import sys
from pathlib import Path

import structlog

from shared import VERSION
from shared.processes import prepare_metrics
from shared.settings import InvalidSettings, Settings, load
from shared.telemetry import logs

log = structlog.get_logger(__name__)

# Connections that a process accepts, idle ones included; further ones wait unanswered. One address has some 28,000
# ports: its idle connections do not fill two processes. A silent connection takes 3 kB, an idle one 17 kB.
CONNECTIONS = 16_384
# Open files of a process beside its connections.
OTHER_FILES = 512
BACKLOG = 4096
# A request's line and headers together; 431 beyond.
MAX_HEAD_BYTES = 16_384


def main() -> None:
    """Serve until SIGTERM."""
    try:
        settings = load()
    except InvalidSettings as error:
        sys.exit(str(error))
    logs.configure("pricing-api", settings)
    prepare_metrics(settings.home_dir, "api")
    from shared.access import price_limits  # they import the metrics
    from shared.postgres.pools import check_pooler

    try:
        check_pooler(settings)
    except InvalidSettings as error:
        sys.exit(str(error))
    price_limits.prepare(settings.home_dir)
    address = f"{settings.scheme}://{settings.host}:{settings.port}"
    log.info("serving", address=address, processes=settings.api_processes, version=VERSION)
    _serve(settings)
    log.info("ended")


def _serve(settings: Settings) -> None:
    from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
    from granian.http import HTTP1Settings
    from granian.server import Server

    import api.app  # noqa: F401 # the forked workers have it: no worker imports it anew

    Server(
        "api.app:create_app",
        factory=True,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        address=settings.host,
        port=settings.port,
        workers=settings.api_processes,
        # In the mode for both versions of HTTP, a connection that sends nothing is never closed.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=settings.idle_timeout_s * 1000, max_buffer_size=MAX_HEAD_BYTES
        ),
        websockets=False,
        backlog=BACKLOG,
        backpressure=_connections(),
        respawn_failed_workers=True,
        ssl_cert=Path(settings.tls_certificate) if settings.tls_certificate else None,
        ssl_key=Path(settings.tls_key) if settings.tls_key else None,
        ssl_protocol_min=SSLProtocols.tls12,
        workers_kill_timeout=settings.drain_timeout_s,
        log_enabled=False,
    ).serve()


def _connections() -> int:
    """Raise this process's limit of open files, which its workers inherit; how many connections each can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(min(soft - OTHER_FILES, CONNECTIONS), 1)


if __name__ == "__main__":
    main()
