"""The table of attempts that end by an error: a task and events after each of them."""

from typing import NamedTuple

import psycopg
import pytest
import redis
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from shared import errors


class Attempt(NamedTuple):
    """An attempt that ended by an error.

    Attributes:
        task: The status of its task afterwards.
        event: The status of the events that its target has.
        named: The error's name in the row; empty: its class.
    """

    error: BaseException
    is_last: bool
    task: str
    event: str
    named: str = ""

    @property
    def error_name(self) -> str:
        return self.named or type(self.error).__name__


def tried_again(error: BaseException, last_task: str = "failed", last_event: str = "failed") -> list[Attempt]:
    """An error that passes: one of its attempts between others, and the last one."""
    return [Attempt(error, False, "queued", "received"), Attempt(error, True, last_task, last_event)]


def away(error: BaseException, named: str = "") -> list[Attempt]:
    """A server that is away: the sweep enqueues the work when it is back, however long that takes."""
    return [attempt._replace(named=named) for attempt in tried_again(error, "queued", "received")]


ATTEMPTS = [
    *away(errors.DatabaseUnavailable("away")),
    *away(psycopg.OperationalError("away"), "DatabaseUnavailable"),
    *away(psycopg.errors.DeadlockDetected("away"), "DatabaseUnavailable"),
    *away(errors.RedisUnavailable("away")),
    *away(redis.ConnectionError("away"), "RedisUnavailable"),
    *away(redis.TimeoutError("away"), "RedisUnavailable"),
    *tried_again(errors.StatementTimeout("slow")),
    *tried_again(errors.Overloaded("busy")),
    *tried_again(errors.LockLost("taken")),
    *tried_again(errors.ExternalAPIError("503")),
    *tried_again(errors.ExternalAPITimeout("slow")),
    *tried_again(errors.Unavailable("just now")),
    # The row is another worker's.
    Attempt(errors.LeaseLost("taken over"), False, "running", "received"),
    Attempt(errors.LeaseLost("taken over"), True, "running", "received"),
    Attempt(Shutdown(), False, "queued", "received"),
    Attempt(errors.PricingError("no"), True, "failed", "failed"),
    Attempt(errors.InvalidInput("no"), True, "failed", "failed"),
    Attempt(errors.NoHistory("no"), True, "failed", "failed"),
    Attempt(errors.OfferRefused("no"), True, "failed", "failed"),
    Attempt(errors.OfferExpired("no"), True, "failed", "failed"),
    Attempt(errors.OfferForeign("no"), True, "failed", "failed"),
    Attempt(errors.OfferForged("no"), True, "failed", "failed"),
    Attempt(errors.OfferRevoked("no"), True, "failed", "failed"),
    Attempt(errors.NotJson("no"), True, "failed", "failed"),
    Attempt(errors.NotFound("no"), True, "failed", "failed"),
    Attempt(errors.AlreadyEnded("no"), True, "failed", "failed"),
    Attempt(errors.ChangesGone("no"), True, "failed", "failed"),
    Attempt(errors.Superseded("no"), True, "failed", "failed"),
    Attempt(errors.StillInUse("no"), True, "failed", "failed"),
    Attempt(errors.StalePlan("no"), True, "failed", "failed"),
    Attempt(errors.PlanFirst("no"), True, "failed", "failed"),
    Attempt(errors.OtherData("no"), True, "failed", "failed"),
    Attempt(errors.Unauthorized("no"), True, "failed", "failed"),
    Attempt(errors.Forbidden("no"), True, "failed", "failed"),
    Attempt(errors.UnusableProduct("no"), True, "failed", "failed"),
    Attempt(errors.UrlTooLong("no"), True, "failed", "failed"),
    Attempt(errors.SlowBody("no"), True, "failed", "failed"),
    Attempt(errors.RateLimited("no", {}), True, "failed", "failed"),
    Attempt(psycopg.DataError("no"), True, "failed", "failed", "InvalidInput"),
    Attempt(psycopg.errors.UniqueViolation("no"), True, "failed", "failed"),
    Attempt(redis.ResponseError("no"), True, "failed", "failed"),
    Attempt(ValueError("a fault of ours"), True, "failed", "failed"),
    Attempt(TimeLimitExceeded(), True, "failed", "failed"),
]


def name(attempt: Attempt) -> str:
    return f"{type(attempt.error).__name__}-{'last' if attempt.is_last else 'not-last'}"


each_attempt = pytest.mark.parametrize("attempt", ATTEMPTS, ids=name)
