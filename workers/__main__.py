"""`python -m workers`: Dramatiq with several worker processes of several threads."""

import multiprocessing
import os
import sys

import structlog

from shared import VERSION
from shared.processes import prepare_metrics
from shared.settings import InvalidSettings, load
from shared.telemetry import logs

log = structlog.get_logger(__name__)

# A consumer sleeps this long at most while all threads are at work. Dramatiq's default is up to a second.
BUSY_SLEEP_MS = 50
# The main process waits this long for its workers to start, and monitors them only then. With the default of 30 s, the
# crash of a starting worker would go unnoticed for as long.
START_MS = 2_000


def main() -> int:
    """Work until SIGTERM."""
    try:
        settings = load()
    except InvalidSettings as error:
        sys.exit(str(error))
    logs.configure("pricing-worker", settings)
    prepare_metrics(settings.home_dir, "worker")
    from shared.postgres.pools import check_pooler  # it imports the metrics

    try:
        check_pooler(settings)
    except InvalidSettings as error:
        sys.exit(str(error))
    fork_on_linux()
    os.environ["dramatiq_worker_timeout"] = str(BUSY_SLEEP_MS)  # noqa: SIM112 # Dramatiq's own spelling

    from dramatiq import cli

    # Dramatiq's command line has no types.
    arguments = cli.make_argument_parser().parse_args(  # type: ignore[no-untyped-call]
        [
            "workers.app:create_broker",
            f"--processes={settings.worker_processes}",
            f"--threads={settings.worker_threads}",
            f"--worker-fork-timeout={START_MS}",
            f"--worker-shutdown-timeout={settings.drain_timeout_s * 1000}",
            "--skip-logging",
        ]
    )
    log.info("working", processes=settings.worker_processes, threads=settings.worker_threads, version=VERSION)
    code: int = cli.main(arguments)  # type: ignore[no-untyped-call]
    log.info("ended", code=code)
    return code


def fork_on_linux() -> None:
    """Make Dramatiq fork its worker processes on Linux, with every Python; elsewhere Python's default applies.

    From Python 3.14 on, the default is a fork server. The workers would be that server's children and end with it.
    The server and a resource tracker would be two more processes, of 30 MB together. A fork server protects a
    process that has threads when it forks. This process forks only at its start, with a single thread and without a
    connection. macOS cannot fork safely; Python spawns there. Granian's main process has threads and chooses its
    own start method.
    """
    if sys.platform == "linux":
        multiprocessing.set_start_method("fork")


if __name__ == "__main__":
    sys.exit(main())
