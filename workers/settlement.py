"""What a job's row says after each attempt that did not end well."""

from collections.abc import Callable
from uuid import UUID

from dramatiq import MessageProxy
from dramatiq_abort import Abort

from shared.catalogue import events, tasks
from shared.catalogue.tasks import TaskError
from shared.errors import translate
from workers import recalculation
from workers.services import Services

# Called with the message, the exception and whether it was the last attempt.
Settle = Callable[[MessageProxy, BaseException, bool], None]


class Settlement:
    """Writes the outcome of failed attempts where a user looks for it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def task(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """A task is queued again between attempts, then failed; or aborted."""
        task_id = UUID(message.args[0])
        with self._services.pool.connection() as conn:
            if isinstance(error, Abort):
                tasks.end_aborted(conn, task_id)
            elif is_last:
                tasks.fail(conn, task_id, _described(error))
            else:
                tasks.retry_later(conn, task_id, _described(error))
        recalculation.ring_follow_up(self._services)

    def product_events(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """The waiting events of a product fail with the last attempt."""
        self._fail_events(error, is_last, product_id=message.args[0])

    def market_events(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """The waiting events of a market fail with the last attempt."""
        self._fail_events(error, is_last, market=message.args[0])

    def recalculation_request(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        """The event fails with the last attempt."""
        self._fail_events(error, is_last, key=(message.args[0], message.args[1]))

    def _fail_events(self, error: BaseException, is_last: bool, **which: object) -> None:
        # What is away comes back, and the sweep rings again: only what cannot work is given up.
        known = translate(error)
        if is_last and not (known and known.retryable):
            described = _described(error)
            with self._services.pool.connection() as conn:
                events.fail_waiting(conn, f"{described.type}: {described.message}", **which)


def _described(error: BaseException) -> TaskError:
    known = translate(error) or error
    return TaskError(type(known).__name__, str(known))
