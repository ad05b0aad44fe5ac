"""What a job's row says after each attempt that did not end well."""

import traceback
from collections.abc import Callable
from typing import Any
from uuid import UUID

from dramatiq import MessageProxy
from dramatiq_abort import Abort

from shared.errors import DatabaseUnavailable, RedisUnavailable, translate
from shared.jobs import tasks
from shared.jobs.tasks import TaskError
from shared.market_events import inbox
from workers.jobs import run_ending
from workers.services import Services

# Called with the message, the exception and whether it was the last attempt.
Settle = Callable[[MessageProxy, BaseException, bool], None]
TRACEBACK_CHARS = 8_000


class Completion:
    """Writes the outcome of failed attempts where a user looks for it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def task(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """A task is queued again between attempts, then failed; or aborted.

        Where PostgreSQL or Redis is away for longer than the attempts last, it stays queued: that is no
        fault of the task, and the sweep rings for it when they are back.
        """
        task_id = UUID(message.args[0])
        with self._services.pool.connection() as conn:
            if isinstance(error, Abort):
                tasks.end_aborted(conn, task_id)
            elif is_last and not isinstance(translate(error), DatabaseUnavailable | RedisUnavailable):
                tasks.fail(conn, task_id, _described(error), _traceback(error))
            else:
                tasks.retry_later(conn, task_id, _described(error), _traceback(error))
        self._services.lock.release(task_id)
        run_ending.enqueue_follow_up(self._services)

    def helper(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """The run's own message meets the same, and tries again."""
        self._services.enqueue.task("recalculation", UUID(message.args[0]))

    def product_events(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """The waiting events of a product fail with the last attempt."""
        self._fail_events(error, is_last, product_id=message.args[0])

    def market_events(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """The waiting events of a market fail with the last attempt."""
        self._fail_events(error, is_last, market=message.args[0])

    def recalculation_request(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """The event fails with the last attempt."""
        self._fail_events(error, is_last, key=(message.args[0], message.args[1]))

    def _fail_events(self, error: BaseException, is_last: bool, **which: Any) -> None:
        # What is away comes back, and the sweep rings again: only what cannot work is given up.
        known = translate(error)
        if is_last and not (known and known.retryable):
            described = _described(error)
            with self._services.pool.connection() as conn:
                inbox.fail_waiting(conn, f"{described.type}: {described.message}", _traceback(error), **which)


def _described(error: BaseException) -> TaskError:
    known = translate(error) or error
    return TaskError(type(known).__name__, str(known))


def _traceback(error: BaseException) -> str:
    """Its end, which is where it came from."""
    return "".join(traceback.format_exception(error))[-TRACEBACK_CHARS:]
