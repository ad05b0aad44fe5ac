"""The completion of jobs: the row of a job after a failed attempt."""

import traceback
from collections.abc import Callable
from uuid import UUID

from dramatiq import MessageProxy
from dramatiq_abort import Abort

from shared.errors import DatabaseUnavailable, LeaseLost, RedisUnavailable, translate
from shared.jobs import endings
from shared.jobs.endings import TaskError
from shared.market_events import inbox
from shared.prices import repricing_queue
from shared.telemetry.metrics import EVENTS_COMPLETED
from workers.jobs import run_ending
from workers.services import Services

# Called with the message, the exception and whether it was the last attempt.
OnError = Callable[[MessageProxy, BaseException, bool], None]
TRACEBACK_CHARS = 8_000


class Completion:
    """Writes the outcome of failed attempts into the rows that users read."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def task(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """Set a task to `queued` between attempts, to `failed` after the last one, or to `aborted`.

        Where PostgreSQL or Redis is away for longer than the attempts last, the task stays queued, and the sweep
        enqueues it when they are back. Where another worker took the task over, or holds a partition of it, only that
        worker writes its row.
        """
        if isinstance(translate(error), LeaseLost):
            return
        task_id = UUID(message.args[0])
        attempt = self._services.claim.attempt_of(task_id)
        with self._services.pool.connection() as conn:
            if isinstance(error, Abort):
                is_ours = endings.end_aborted(conn, task_id, attempt)
            elif is_last and not isinstance(translate(error), DatabaseUnavailable | RedisUnavailable):
                is_ours = endings.fail(conn, task_id, attempt, _described(error), _traceback(error))
            else:
                is_ours = endings.retry_later(conn, task_id, attempt, _described(error), _traceback(error))
        if not is_ours:
            return
        self._services.lock.release(task_id, attempt or 0)
        run_ending.enqueue_follow_up(self._services)

    def join(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """Enqueue the run's own message, which is retried. Where this thread had not joined the run, the sweep does."""
        if (run := self._services.claim.task) is not None:
            self._services.enqueue.task(run.kind, run.task_id)

    def products(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """After the last attempt, fail a product's waiting events; several products are enqueued one by one."""
        if not is_last or _is_away(error):
            return
        [product_ids] = message.args
        if len(product_ids) == 1:
            self._fail_events(product_ids[0], error)
            return
        for product_id in product_ids:
            self._services.enqueue.products([product_id])

    def market(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """After the last attempt, fail a market's waiting events."""
        if is_last and not _is_away(error):
            self._fail_events(repricing_queue.market_target(message.args[0]), error)

    def _fail_events(self, target: str, error: BaseException) -> None:
        described = _described(error)
        with self._services.pool.connection() as conn:
            failed = inbox.fail_waiting(conn, target, f"{described.type}: {described.message}", _traceback(error))
        EVENTS_COMPLETED.labels("failed").inc(failed)


def _is_away(error: BaseException) -> bool:
    """Whether a server is away, or another worker took over: the sweep enqueues the work again."""
    return isinstance(translate(error), DatabaseUnavailable | RedisUnavailable | LeaseLost)


def _described(error: BaseException) -> TaskError:
    known = translate(error) or error
    return TaskError(type(known).__name__, str(known))


def _traceback(error: BaseException) -> str:
    """The traceback's end, which names the origin of the error."""
    return "".join(traceback.format_exception(error))[-TRACEBACK_CHARS:]
