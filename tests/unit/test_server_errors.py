"""Every error of the drivers is decided: the server passes, the caller is wrong, or the program is.

A class or a state that a new release brings fails these tests until it is decided here.
"""

import inspect
from collections.abc import Iterator

import psycopg
import psycopg_pool
import pytest
import redis

from shared import errors
from shared.errors import retryable, translate

AWAY, TIMEOUT, CALLER, PROGRAM = "away", "timeout", "caller", "program"
KINDS = {
    errors.DatabaseUnavailable: AWAY,
    errors.RedisUnavailable: AWAY,
    errors.StatementTimeout: TIMEOUT,
    errors.InvalidInput: CALLER,
    type(None): PROGRAM,
}

# By the class of SQLSTATE; single states below.
BY_CLASS = {
    "02": PROGRAM, "03": PROGRAM, "08": AWAY, "09": PROGRAM, "0A": PROGRAM, "0B": PROGRAM, "0F": PROGRAM,
    "0L": PROGRAM, "0P": PROGRAM, "0Z": PROGRAM, "10": PROGRAM, "20": PROGRAM, "21": PROGRAM, "22": CALLER,
    "23": PROGRAM, "24": PROGRAM, "25": PROGRAM, "26": AWAY, "27": PROGRAM, "28": AWAY, "2B": PROGRAM, "2D": PROGRAM,
    "2F": PROGRAM, "34": PROGRAM, "38": PROGRAM, "39": PROGRAM, "3B": PROGRAM, "3D": PROGRAM, "3F": PROGRAM,
    "40": AWAY, "42": PROGRAM, "44": PROGRAM, "53": AWAY, "54": PROGRAM, "55": AWAY, "57": AWAY, "58": AWAY,
    "72": PROGRAM, "F0": PROGRAM, "HV": PROGRAM, "P0": PROGRAM, "XX": PROGRAM,
}  # fmt: skip
BY_STATE = {"25006": AWAY, "25P02": AWAY, "25P03": AWAY, "25P04": AWAY, "42P05": AWAY, "57014": TIMEOUT}
# Without a state: errors of the connection, of the pool, and of the use of the driver.
WITHOUT_STATE = {
    psycopg.Error: PROGRAM,
    psycopg.DatabaseError: PROGRAM,
    psycopg.DataError: CALLER,
    psycopg.IntegrityError: PROGRAM,
    psycopg.InterfaceError: AWAY,
    psycopg.InternalError: PROGRAM,
    psycopg.NotSupportedError: PROGRAM,
    psycopg.OperationalError: AWAY,
    psycopg.ProgrammingError: PROGRAM,
    psycopg.errors.CancellationTimeout: AWAY,
    psycopg.errors.ConnectionTimeout: AWAY,
    psycopg.errors.PipelineAborted: AWAY,
    psycopg_pool.PoolClosed: AWAY,
    psycopg_pool.PoolTimeout: AWAY,
    psycopg_pool.TooManyRequests: AWAY,
}
OF_REDIS = {
    "AskError": AWAY, "AuthenticationError": AWAY, "AuthenticationWrongNumberOfArgsError": AWAY,
    "AuthorizationError": AWAY, "BusyLoadingError": AWAY, "ClusterCrossSlotError": AWAY, "ClusterDownError": AWAY,
    "ClusterError": AWAY, "ConnectionError": AWAY, "DataError": PROGRAM, "ExecAbortError": AWAY,
    "ExternalAuthProviderError": AWAY, "InvalidResponse": AWAY, "LockError": PROGRAM, "LockNotOwnedError": PROGRAM,
    "MasterDownError": AWAY, "MaxConnectionsError": AWAY, "ModuleError": PROGRAM, "MovedError": AWAY,
    "NoPermissionError": AWAY, "NoScriptError": PROGRAM, "NoSuchFieldsetError": PROGRAM, "OutOfMemoryError": AWAY,
    "PubSubError": PROGRAM, "ReadOnlyError": AWAY, "RedisError": AWAY, "ResponseError": PROGRAM, "TimeoutError": AWAY,
    "TryAgainError": AWAY, "WatchError": PROGRAM,
}  # fmt: skip
# They are no RedisError, and only a cluster's client raises them.
NO_REDIS_ERRORS = {
    *("ChildDeadlockedError", "IncorrectPolicyType", "RedisClusterException", "CrossSlotTransactionError"),
    *("InvalidPipelineStack", "SlotNotCoveredError"),
}


def of_postgres() -> Iterator[type[psycopg.Error]]:
    seen: set[type[psycopg.Error]] = set()
    for module in (psycopg, psycopg.errors, psycopg_pool):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, psycopg.Error) and kind not in seen and not kind.__name__.startswith("_"):
                seen.add(kind)
                yield kind


def of_redis() -> dict[str, type[Exception]]:
    return {
        name: kind
        for name, kind in inspect.getmembers(redis.exceptions, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == "redis.exceptions"
    }


def decision(error: BaseException) -> str:
    return KINDS[type(translate(error))]


@pytest.mark.parametrize("kind", list(of_postgres()), ids=lambda kind: kind.__name__)
def test_every_error_of_postgres_is_decided(kind: type[psycopg.Error]) -> None:
    if kind.sqlstate is None:
        assert kind in WITHOUT_STATE, f"{kind.__name__} is new: does it pass, is it the caller's, or a program's?"
        decided = WITHOUT_STATE[kind]
    else:
        decided = BY_STATE.get(kind.sqlstate) or BY_CLASS[kind.sqlstate[:2]]
    assert decision(kind("gone")) == decided
    assert retryable(kind("gone")) == (decided in (AWAY, TIMEOUT))


def test_every_error_of_redis_is_decided() -> None:
    assert of_redis().keys() == OF_REDIS.keys() | NO_REDIS_ERRORS
    for name, decided in OF_REDIS.items():
        kind = of_redis()[name]
        assert decision(kind.__new__(kind, "gone")) == decided, name


@pytest.mark.parametrize(
    "reply",
    [
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "BUSY Redis is busy running a script.",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "ERR Error running script (call to f_1): @user_script:4: -READONLY You can't write against a replica.",
        "ERR @user_script: 12: -OOM command not allowed when used memory > 'maxmemory'.",
    ],
)
def test_a_refusal_of_redis_passes_whatever_class_it_has(reply: str) -> None:
    assert decision(redis.ResponseError(reply)) == AWAY


@pytest.mark.parametrize("reply", ["WRONGTYPE Operation against a key", "ERR unknown command 'GETT'", "NOSCRIPT"])
def test_a_wrong_command_is_a_fault_of_the_program(reply: str) -> None:
    assert decision(redis.ResponseError(reply)) == PROGRAM


def test_a_plan_that_a_migration_made_stale_passes_and_an_unsupported_feature_does_not() -> None:
    stale = psycopg.errors.FeatureNotSupported("cached plan must not change result type")
    assert decision(stale) == AWAY
    assert decision(psycopg.errors.FeatureNotSupported("cannot insert into a view")) == PROGRAM
