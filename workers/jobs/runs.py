"""Runs of any kind: split into partitions, worked on by any number of workers, and gone on with after a message."""

from dramatiq.middleware import Shutdown

from shared.errors import LeaseLost
from shared.jobs import splitting
from shared.jobs.tasks import RunningTask
from workers.jobs import partitions, run_ending
from workers.jobs.partitions import Step
from workers.services import Services


def work(services: Services, run: RunningTask, step: Step, most_s: float, *, is_claimant: bool = False) -> None:
    """Take partitions of a run for `most_s` seconds; its message is then enqueued again."""
    if partitions.work(services, run, step, is_claimant=is_claimant, most_s=most_s):
        services.enqueue.task(run.kind, run.task_id)


def split(services: Services, run: RunningTask) -> None:
    """Split a run.

    Raises:
        LeaseLost: another worker took the run over, or its abort was requested.
        Shutdown: the process stops; Dramatiq enqueues the message again.
    """

    def go_on() -> None:
        if services.stopping.is_set():
            raise Shutdown

    try:
        splitting.split(services.pool, run, before_slice=go_on)
    except LeaseLost:
        run_ending.end(services, run)
        raise
