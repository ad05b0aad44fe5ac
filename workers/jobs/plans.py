"""Plans: their making and their application are runs, each of any number at once."""

from uuid import UUID

import structlog

from shared.jobs import partitions, tasks
from shared.jobs.partitions import Partition
from shared.jobs.tasks import RunningTask
from shared.plans import application, plan_parts, planning, undoing
from shared.plans.application import Published
from shared.plans.plan_parts import Part, Stored
from shared.plans.proposal import Work
from shared.postgres.pools import Conn
from shared.prices.new_versions import Cause
from shared.telemetry.metrics import stage
from shared.telemetry.tracing import tracer
from workers.jobs import repricing, runs
from workers.jobs.partitions import MESSAGE_S, Outcome, Step
from workers.services import Services

log = structlog.get_logger(__name__)


def make(services: Services, task_id: UUID, most_s: float = MESSAGE_S) -> None:
    """Make a plan, or help with it, unless it has ended."""
    _run(services, task_id, make_part, most_s)


def apply(services: Services, task_id: UUID, most_s: float = MESSAGE_S) -> None:
    """Publish the prices of a plan, or help with it, unless it has ended."""
    _run(services, task_id, apply_part, most_s)


def make_part(services: Services, run: RunningTask, partition: Partition) -> Outcome:
    """Plan a partition. Nothing is locked, and nothing is written before its end."""
    with services.pool.connection() as conn:
        work = services.proposals.of_task(conn, run.task_id)
    with stage("decide"), tracer.start_as_current_span("plan prices"), services.pool.connection() as conn:
        part = _plan_part(conn, work, partition)
    moved = part.sums.published.rise + part.sums.published.fall

    def write(conn: Conn) -> None:
        plan_parts.add(conn, work.plan, partition.number, partition.first, partition.before, part)

    return Outcome(part.sums.published.products + part.sums.failed, moved, part.sums.failed_products, write)


def apply_part(services: Services, run: RunningTask, partition: Partition) -> Outcome:
    """Publish the planned prices of a partition, and put their sheets."""
    with tracer.start_as_current_span("write prices"), services.pool.connection() as conn:
        work = services.proposals.of_task(conn, run.task_id)
        cause = Cause("plan", str(work.plan.plan_id), is_retry=partition.attempt > 1)
        planned = plan_parts.stored(conn, work.plan, partition.number)
        published = _publish_part(conn, work, planned, partition, cause)
        plan_parts.note_redecided(conn, work.plan, published.redecided)
        with stage("commit"):
            # In the transaction of the write: a worker that has lost the partition writes nothing.
            partitions.hold(conn, partition)
            conn.commit()
    return repricing.put(services, partition, published.repriced)


def _plan_part(conn: Conn, work: Work, partition: Partition) -> Part:
    if work.plan.options.undo is not None:
        return undoing.plan_part(conn, work, partition.products)
    return planning.plan_part(conn, work.proposal, partition.products, work.plan.options.queries)


def _publish_part(conn: Conn, work: Work, part: Stored, partition: Partition, cause: Cause) -> Published:
    if work.plan.options.undo is not None:
        return undoing.publish_part(conn, work, part, partition.products, cause)
    return application.publish_part(conn, work.proposal, part, partition.products, cause)


def _run(services: Services, task_id: UUID, step: Step, most_s: float) -> None:
    services.claim.task = None
    with services.pool.connection() as conn:
        task = tasks.running(conn, task_id)
    is_claimant = task is None
    if task is None:
        with services.pool.connection() as conn:
            task = tasks.start(conn, task_id)
    elif task.total is None:
        return  # another worker splits it
    if task is None:
        return
    services.claim.task = task
    if task.total is None:
        runs.split(services, task)
    runs.work(services, task, step, most_s, is_claimant=is_claimant)
