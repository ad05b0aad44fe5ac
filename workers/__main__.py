"""`python -m workers`: Dramatiq with several worker processes of several threads."""

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


if __name__ == "__main__":
    sys.exit(main())
