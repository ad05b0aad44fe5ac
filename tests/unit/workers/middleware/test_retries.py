"""The errors that are retried, and how often."""

import psycopg
import pytest
import redis
from dramatiq.middleware import Shutdown, TimeLimitExceeded
from dramatiq_abort import Abort

from shared import errors
from workers.middleware.outcomes import MAX_RETRIES, never, worth_a_retry

TRANSIENT = [
    errors.Unavailable("x"),
    errors.DatabaseUnavailable("x"),
    errors.StatementTimeout("x"),
    errors.RedisUnavailable("x"),
    errors.LockLost("x"),
    errors.Overloaded("x"),
    errors.LeaseLost("x"),
    errors.ExternalAPIError("x"),
    errors.ExternalAPITimeout("x"),
    psycopg.OperationalError("x"),
    psycopg.errors.DeadlockDetected("x"),
    redis.ConnectionError("x"),
    redis.TimeoutError("x"),
    redis.ReadOnlyError("x"),
]
FINAL = [
    errors.PricingError("x"),
    errors.InvalidInput("x"),
    errors.NotJson("x"),
    errors.NoHistory("x"),
    errors.OfferRefused("x"),
    errors.OfferExpired("x"),
    errors.OfferForeign("x"),
    errors.OfferForged("x"),
    errors.OfferRevoked("x"),
    errors.UrlTooLong("x"),
    errors.SlowBody("x"),
    errors.RateLimited("x"),
    errors.NotFound("x"),
    errors.AlreadyEnded("x"),
    errors.ChangesGone("x"),
    errors.Superseded("x"),
    errors.StillInUse("x"),
    errors.StalePlan("x"),
    errors.PlanFirst("x"),
    errors.OtherData("x"),
    errors.Unauthorized("x"),
    errors.Forbidden("x"),
    errors.UnusableProduct("x"),
    ValueError("x"),
    TimeLimitExceeded(),
    Abort(),
    psycopg.DataError("x"),
]


def name(error: BaseException) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", TRANSIENT, ids=name)
def test_a_transient_error_is_retried_five_times(error: BaseException) -> None:
    tried = [worth_a_retry(retries, error) for retries in range(MAX_RETRIES + 2)]
    assert tried == [True] * 5 + [False] * 2


@pytest.mark.parametrize("error", FINAL, ids=name)
def test_a_final_error_is_not_retried(error: BaseException) -> None:
    assert not worth_a_retry(0, error)


@pytest.mark.parametrize("retries", [0, MAX_RETRIES, 1_000])
def test_work_that_a_shutdown_interrupted_is_always_retried(retries: int) -> None:
    assert worth_a_retry(retries, Shutdown())


@pytest.mark.parametrize("error", [*TRANSIENT, *FINAL, Shutdown()], ids=name)
def test_never_refuses_every_error(error: BaseException) -> None:
    assert not never(0, error)


def test_each_error_of_ours_is_in_one_of_the_lists() -> None:
    ours = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PricingError)}
    assert {type(error) for error in [*TRANSIENT, *FINAL]} >= ours
