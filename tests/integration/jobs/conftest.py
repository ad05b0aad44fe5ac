"""Tasks as their users see them, in an empty table."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from shared.catalogue.product_set import ProductSet
from shared.jobs import endings, merging, tasks
from shared.jobs import views as task_views
from shared.jobs.endings import TaskError
from shared.jobs.tasks import RunningTask, WaitingTask
from shared.jobs.views import TaskView
from shared.postgres.pools import Pool

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
AWAY = TaskError("DatabaseUnavailable", "away")
ONE, TWO, BOTH = ProductSet(("P-1",)), ProductSet(("P-2",)), ProductSet(("P-1", "P-2"))


class Tasks:
    """The calls of `shared.jobs.tasks`, each in a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create(
        self,
        product_set: ProductSet = ONE,
        kind: str = "recalculation",
        task_id: UUID | None = None,
        key_id: int | None = None,
    ) -> UUID:
        with self._pool.connection() as conn:
            return tasks.create(conn, kind, product_set, TRACEPARENT, task_id, key_id)

    def start(self, task_id: UUID) -> RunningTask | None:
        with self._pool.connection() as conn:
            return tasks.start(conn, task_id)

    def started(self, product_set: ProductSet = ONE, kind: str = "recalculation") -> RunningTask:
        running = self.start(self.create(product_set, kind))
        assert running
        return running

    def view(self, task_id: UUID) -> TaskView:
        with self._pool.connection() as conn:
            return task_views.view(conn, task_id)

    def status(self, task_id: UUID) -> str:
        return self.view(task_id).status

    def advance(self, task: RunningTask, done: int = 0, changed: int = 0) -> bool:
        with self._pool.connection() as conn:
            return tasks.advance(conn, task, done=done, changed=changed, total=10)

    def succeed(self, task: RunningTask) -> None:
        with self._pool.connection() as conn:
            tasks.succeed(conn, task)

    def retry_later(self, task_id: UUID) -> bool:
        """By the worker whose attempt it is."""
        attempt = self.view(task_id).attempts
        with self._pool.connection() as conn:
            return endings.retry_later(conn, task_id, attempt, AWAY)

    def fail(self, task_id: UUID) -> bool:
        """As `retry_later`."""
        attempt = self.view(task_id).attempts
        with self._pool.connection() as conn:
            return endings.fail(conn, task_id, attempt, AWAY)

    def request_abort(self, task_id: UUID) -> bool:
        with self._pool.connection() as conn:
            return tasks.request_abort(conn, task_id)

    def end_aborted(self, task_id: UUID) -> bool:
        """As `retry_later`."""
        attempt = self.view(task_id).attempts
        with self._pool.connection() as conn:
            return endings.end_aborted(conn, task_id, attempt)

    def claim_waiting(self) -> list[WaitingTask]:
        with self._pool.connection() as conn:
            return tasks.claim_waiting(conn)

    def waiting(self) -> set[UUID]:
        return {task.task_id for task in self.claim_waiting()}

    def skip_if_covered(self, task_id: UUID) -> bool:
        with self._pool.connection() as conn:
            return merging.skip_if_covered(conn, task_id)

    def skip_into_follow_up(self, task_id: UUID) -> bool:
        with self._pool.connection() as conn:
            return merging.skip_into_follow_up(conn, task_id)

    def claim_follow_up(self) -> UUID | None:
        with self._pool.connection() as conn:
            return merging.claim_follow_up(conn)

    def merged_into(self, task_id: UUID) -> UUID:
        view = self.view(task_id)
        assert view.status == "skipped"
        assert view.result
        assert view.result.merged_into
        return view.result.merged_into

    def end_lease(self, task_id: UUID, seconds: int = 60) -> None:
        """As if this much time had gone by."""
        with self._pool.connection() as conn:
            conn.execute(
                "UPDATE tasks SET lease_until = lease_until - make_interval(secs => %(s)s),"
                " enqueued_at = enqueued_at - make_interval(secs => %(s)s) WHERE task_id = %(id)s",
                {"s": seconds, "id": task_id},
            )


@pytest.fixture
def jobs(pool: Pool) -> Iterator[Tasks]:
    """Tasks in an empty table."""
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks")
    yield Tasks(pool)
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks")
