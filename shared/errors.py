"""The engine's errors, and the one place that translates those of its libraries.

PricingError
├── InvalidInput            the caller's document is of the wrong shape or content
│   └── NotJson             … or no JSON at all
├── NotFound
├── AlreadyEnded            the task can no longer be changed
├── Unauthorized
└── Unavailable             passes; the same work may be tried again (`retryable`)
    ├── DatabaseUnavailable
    ├── StatementTimeout    a statement lasted too long; it may do so again
    ├── RedisUnavailable
    ├── LockLost            another run took over the recalculation lock
    ├── LeaseLost           another worker took over the work; what this one wrote is refused
    └── ExternalAPIError    the market-data feed refused or answered nonsense
        └── ExternalAPITimeout
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import msgspec
import psycopg
import redis


class PricingError(Exception):
    """Root of the engine's errors. `retryable` says whether the same work may succeed later."""

    retryable: ClassVar[bool] = False


class InvalidInput(PricingError):
    """A document that cannot be accepted.

    Attributes:
        path: The first wrong field, as `$.data.price`; `$` for the whole document.
        reason: What is wrong with it, for people.
    """

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NotJson(InvalidInput):
    """The bytes are no JSON, or not UTF-8."""


class NotFound(PricingError):
    """The thing that was named does not exist."""


class AlreadyEnded(PricingError):
    """The task has ended and can no longer be aborted."""


class Unauthorized(PricingError):
    """The key is missing, unknown or revoked."""


class Unavailable(PricingError):
    """Something the engine depends on does not answer just now."""

    retryable = True


class DatabaseUnavailable(Unavailable):
    """PostgreSQL is away, restarting, read-only or out of connections; or it undid a transaction for another one."""


class StatementTimeout(Unavailable):
    """PostgreSQL ended a statement that lasted too long; a job that meets this at each attempt fails."""


class RedisUnavailable(Unavailable):
    """Redis is away, loading, stalled, full, read-only or failing over."""


class LockLost(Unavailable):
    """The recalculation lock is no longer ours."""


class LeaseLost(Unavailable):
    """The work is another worker's by now, or is not to be done any more."""


class ExternalAPIError(Unavailable):
    """The market-data feed cannot be reached or does not make sense."""


class ExternalAPITimeout(ExternalAPIError):
    """The market-data feed did not answer in time."""


# Classes of SQLSTATE (PostgreSQL's appendix A) that pass by themselves: connection, rights to connect, rollback for
# another transaction, resources, a state or a lock of another session, operator intervention, the system.
_PASSING_CLASSES = frozenset({"08", "28", "40", "53", "55", "57", "58"})
# Of the other classes: a failed, read-only or idle transaction; a prepared statement that a pooler or a migration
# took away ("cached plan must not change result type" has the code of an unsupported feature).
_PASSING_STATES = frozenset({"25006", "25P02", "25P03", "25P04", "26000", "42P05"})
_STALE_PLAN = "cached plan must not change result type"
# Errors of redis-py that are faults of a program: of a command, of its arguments, or of how the library is used.
_REDIS_FAULTS = (
    redis.DataError,
    redis.exceptions.LockError,
    redis.exceptions.ModuleError,
    redis.exceptions.NoScriptError,
    redis.exceptions.NoSuchFieldsetError,
    redis.exceptions.PubSubError,
    redis.WatchError,
)
# Replies by which a server refuses work that it may accept later. redis-py has no class for some, and a script's error
# names its cause behind other words.
_REFUSALS = re.compile(
    r"\b(READONLY|OOM|MISCONF|NOREPLICAS|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOPERM|NOAUTH|WRONGPASS|ASK|MOVED"
    r"|CROSSSLOT|EXECABORT)\b"
)

_POINTER = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"^`(?P<field>[\w.\[\]]+)` ")
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<field>[^`]*)`")


def translate(error: BaseException) -> PricingError | None:
    """The engine's error for one of a library's, or None for what nobody foresaw.

    msgspec says where a document is wrong; a struct's own check starts with the field's name in backticks,
    which is joined to the path that msgspec gives for the struct.
    """
    match error:
        case PricingError():
            return error
        case msgspec.ValidationError():
            return _invalid(str(error))
        case msgspec.DecodeError() | UnicodeDecodeError():
            return NotJson(f"not JSON: {error}")
        case RecursionError():
            return NotJson("nested too deeply")
        case psycopg.DataError():
            return InvalidInput(f"a value that cannot be stored: {_one_line(error)}")
        case psycopg.errors.QueryCanceled():
            return StatementTimeout(f"PostgreSQL: {_one_line(error)}")
        case psycopg.Error() if _is_postgres_away(error):
            return DatabaseUnavailable(f"PostgreSQL: {_one_line(error)}")
        case redis.RedisError() if _is_redis_away(error):
            return RedisUnavailable(f"Redis: {_one_line(error)}")
        case _:
            return None


def _is_postgres_away(error: psycopg.Error) -> bool:
    state = error.sqlstate
    if state is None:
        # An error of the connection or the pool; one of a statement has a state.
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES or _STALE_PLAN in str(error)


def _is_redis_away(error: redis.RedisError) -> bool:
    if isinstance(error, _REDIS_FAULTS):
        return False
    # A plain ResponseError may be anything that a server answers.
    return type(error) is not redis.ResponseError or bool(_REFUSALS.search(str(error)))


@contextmanager
def translated() -> Iterator[None]:
    """Let the engine's errors out of a block in place of its libraries'."""
    try:
        yield
    except Exception as error:
        known = translate(error)
        if known is None or known is error:
            raise
        raise known from error


def retryable(error: BaseException) -> bool:
    """Whether the same work may succeed when it is tried again."""
    known = translate(error)
    return known is not None and known.retryable


def _invalid(text: str) -> InvalidInput:
    match = _POINTER.match(text)
    reason, path = (match["reason"], match["path"] or "$") if match else (text, "$")
    if field := _FIELD.match(reason) or _UNKNOWN_FIELD.search(reason):
        path = f"{path}.{field['field']}"
    return InvalidInput(reason, path)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
