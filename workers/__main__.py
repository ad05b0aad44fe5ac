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

# How long an idle consumer sleeps; it polls. The default is up to a second.
IDLE_SLEEP_MS = 50
# How long the main process waits for its workers' start before it looks after them: one that was killed in its start
# would go unnoticed for the default of 30 s.
START_MS = 2_000


def main() -> int:
    """Work until SIGTERM."""
    try:
        settings = load()
    except InvalidSettings as error:
        sys.exit(str(error))
    logs.configure("pricing-worker", settings)
    prepare_metrics(settings.home_dir, "worker")
    fork_on_linux()
    os.environ["dramatiq_worker_timeout"] = str(IDLE_SLEEP_MS)  # noqa: SIM112 # Dramatiq's own spelling

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
    """Have Dramatiq fork its worker processes on Linux, with every Python; elsewhere Python's default stays.

    From Python 3.14 on, the default is a fork server. The workers would be that server's children and end with it,
    and it and a resource tracker would be two more processes, of 30 MB. The server is there for a process that has
    threads when it forks. This one has a single thread then, no connection, and forks only at its start. macOS
    cannot fork safely; Python spawns there. Granian, whose main process has threads, is left to its own choice.
    """
    if sys.platform == "linux":
        multiprocessing.set_start_method("fork")


if __name__ == "__main__":
    sys.exit(main())
