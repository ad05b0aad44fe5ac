"""Products with a competitor, recalculations of them, and their outcomes."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.catalogue.product_set import ProductSet
from shared.jobs import partitions, splitting, tasks
from shared.jobs import views as task_views
from shared.jobs.partitions import Partition
from shared.jobs.tasks import RunningTask
from shared.jobs.views import TaskView
from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Pool
from shared.prices.history import price_changes
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import add_competitor, new_id, product, write
from workers.jobs import partitions as partitions_of_runs
from workers.jobs import repricing
from workers.services import Services

SIZE = 2


def work(services: Services, task: RunningTask) -> bool:
    """This process takes partitions of a recalculation."""
    return partitions_of_runs.work(services, task, repricing.step)


class Runs:
    """Each call is a transaction of its own."""

    def __init__(self, pool: Pool, policy: ActivePolicy) -> None:
        self._pool, self._policy = pool, policy

    def products(self, number: int, competitor: str = "95.00", **fields: Any) -> list[str]:
        """The ids of new products of 100.00 USD, in order, whose competitor asks that price."""
        ids = sorted(new_id() for _ in range(number))
        write(self._pool, self._policy, *(product(product_id, **fields) for product_id in ids))
        with self._pool.connection() as conn:
            for product_id in ids:
                add_competitor(conn, product_id, competitor)
        return ids

    def requested(self, ids: Sequence[str], kind: str = "recalculation") -> UUID:
        """A task that waits."""
        with self._pool.connection() as conn:
            return tasks.create(conn, kind, ProductSet(tuple(ids)), "")

    def started(self, task_id: UUID) -> RunningTask:
        """Another worker's start."""
        with self._pool.connection() as conn:
            task = tasks.start(conn, task_id)
        assert task
        return task

    def split(self, ids: Sequence[str]) -> RunningTask:
        """A run that another worker started, in partitions of two products."""
        task = self.started(self.requested(ids))
        splitting.split(self._pool, task, SIZE)
        return task

    def take(self, task: RunningTask) -> Partition | None:
        """Another worker takes a partition."""
        with self._pool.connection() as conn:
            return partitions.take(conn, task)

    def take_over(self, task: RunningTask) -> None:
        """All leases end, and another worker takes every partition."""
        self.end_leases(task.task_id)
        while self.take(task):
            pass

    def finish(self, partition: Partition) -> None:
        with self._pool.connection() as conn:
            partitions.finish(conn, partition, SIZE, 0)

    def end_leases(self, task_id: UUID) -> None:
        """As if the holders of a run and of its partitions had been gone for a while."""
        with self._pool.connection() as conn:
            for table in (b"tasks", b"run_partitions"):
                query = b"UPDATE " + table + b" SET lease_until = lease_until - make_interval(secs => %s)"
                conn.execute(query + b" WHERE task_id = %s", [LEASE_S, task_id])

    def request_abort(self, task_id: UUID) -> None:
        with self._pool.connection() as conn:
            tasks.request_abort(conn, task_id)

    def view(self, task_id: UUID) -> TaskView:
        with self._pool.connection() as conn:
            return task_views.view(conn, task_id)

    def status(self, task_id: UUID) -> str:
        return self.view(task_id).status

    def partitions(self, task_id: UUID) -> list[tuple[str, int]]:
        """The status of each partition, and its starts that never ended."""
        with self._pool.connection() as conn:
            query = "SELECT status, crashes FROM run_partitions WHERE task_id = %s ORDER BY number"
            return [(row["status"], row["crashes"]) for row in conn.execute(query, [task_id])]

    def prices(self, product_id: str) -> list[Decimal]:
        """The published prices of a product, the first one first."""
        with self._pool.connection() as conn:
            changes = price_changes(conn, product_id, 1000)
        return [change.new_price for change in reversed(changes) if change.new_price is not None]

    def changed(self, ids: Sequence[str]) -> list[str]:
        """Those of the products that have a second price."""
        return [product_id for product_id in ids if len(self.prices(product_id)) > 1]
