"""The engine's errors, and the only translation of its libraries' errors.

PricingError
├── InvalidInput            the caller's document has the wrong shape or content
│   ├── NotJson             … or is not JSON
│   ├── NoHistory           … or names an instant before the retained history
│   └── OfferRefused        … or the token is no offer that counts
│       ├── OfferExpired
│       ├── OfferForeign    another engine's key signed it
│       ├── OfferForged     its signature does not fit its content
│       └── OfferRevoked
├── UrlTooLong
├── RateLimited             the caller's bucket is empty
├── SlowBody                the caller took too long to send its body
├── NotFound
├── ChangesGone             the log of changes does not go back that far, or that id was never given
├── AlreadyEnded            the task can no longer be changed
├── Superseded              a later load of the same price list was put in force
├── StalePlan               what the plan stands on has changed since
├── PlanFirst               a write would move too many prices too far
├── StillInUse              another part of the rulebook refers to the part that is to be deleted
├── OtherData               an event with this source and id is stored already, with other data
├── Unauthorized            the key is missing, unknown, expired or revoked
├── Forbidden               the key lacks a scope
├── UnusableProduct         the stored data of one product cannot be used; the others can
└── Unavailable             transient: the same work may be tried again (`retryable`)
    ├── DatabaseUnavailable
    ├── Overloaded          too many requests are under way in this process
    ├── StatementTimeout    a statement lasted too long, and may do so again
    ├── RedisUnavailable
    ├── LockLost            another run took over the recalculation lock
    ├── LeaseLost           another worker took over the work; the writes of this one are refused
    └── ExternalAPIError    the market-data feed failed, or its answer was invalid
        └── ExternalAPITimeout
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import ClassVar

import msgspec
import psycopg
import redis

from shared.wording import fault_of


class PricingError(Exception):
    """Root of the engine's errors. `retryable`: the same work may succeed later."""

    retryable: ClassVar[bool] = False


class InvalidInput(PricingError):
    """A document that cannot be accepted.

    Attributes:
        path: The first wrong field, as `$.data.price`; `$` for the whole document.
        reason: The fault, in words for people.
    """

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NotJson(InvalidInput):
    """The bytes are not JSON, or not UTF-8."""


class NoHistory(InvalidInput):
    """The instant lies before the retained history."""


class OfferRefused(InvalidInput):
    """A token that is no offer, or one that does not count any more."""


class OfferExpired(OfferRefused):
    """The offer's time is over."""


class OfferForeign(OfferRefused):
    """None of the engine's keys signed the offer."""


class OfferForged(OfferRefused):
    """The signature does not fit the offer's content, or its header is not one of the engine's."""


class OfferRevoked(OfferRefused):
    """The offer was made before an instant up to which offers are revoked."""


class UrlTooLong(PricingError):
    """The request's path and query are longer than the API reads."""


class RateLimited(PricingError):
    """The caller sends more than its rate limit allows.

    Attributes:
        headers: Of the answer: the limit, and when the caller may try again.
    """

    def __init__(self, reason: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(reason)
        self.headers = headers


class SlowBody(PricingError):
    """The body did not come in time."""


class NotFound(PricingError):
    """The named product, task or event does not exist."""


class ChangesGone(PricingError):
    """A subscriber cannot go on behind its last change.

    Attributes:
        begin: The id of a last change behind which it can go on.
    """

    def __init__(self, reason: str, begin: int = 0) -> None:
        super().__init__(reason)
        self.begin = begin


class AlreadyEnded(PricingError):
    """The task has ended and can no longer be aborted."""


class Superseded(PricingError):
    """A later load of the same price list was put in force."""


class StillInUse(PricingError):
    """Another part of the rulebook refers to this one."""


class StalePlan(PricingError):
    """What a plan stands on has changed since it was made; the text says what."""


class PlanFirst(PricingError):
    """By a sample, the write would move too many prices too far; it needs a plan or a confirmation."""


class OtherData(PricingError):
    """An event with this source and id is stored already, with another type or other data."""


class Unauthorized(PricingError):
    """The key is missing, unknown, expired or revoked."""


class Forbidden(PricingError):
    """The key lacks a scope."""


class UnusableProduct(PricingError):
    """The stored data of one product cannot be used. The log has the reason; a write of the product replaces it."""


class Unavailable(PricingError):
    """A server or service that the engine needs does not respond, or the work was taken over."""

    retryable = True


class DatabaseUnavailable(Unavailable):
    """PostgreSQL is away, restarting, read-only or out of connections, or rolled back a transaction for another one."""


class Overloaded(Unavailable):
    """The process has as many requests of this kind under way as it takes."""


class StatementTimeout(Unavailable):
    """PostgreSQL ended a statement that lasted too long; a job fails if each attempt ends this way."""


class RedisUnavailable(Unavailable):
    """Redis is away, loading, stalled, full, read-only or failing over."""


class LockLost(Unavailable):
    """Another task holds the recalculation lock."""


class LeaseLost(Unavailable):
    """Another worker has taken over the work, or the work was aborted."""


class ExternalAPIError(Unavailable):
    """The market-data feed cannot be reached, or its answer is invalid."""


class ExternalAPITimeout(ExternalAPIError):
    """The market-data feed did not answer in time."""


# Transient classes of SQLSTATE (PostgreSQL's appendix A): connection, authorization, rollback in favour of another
# transaction, resources, a state or a lock of another session, operator intervention, the system.
_PASSING_CLASSES = frozenset({"08", "28", "40", "53", "55", "57", "58"})
# Transient states of other classes: a failed, read-only or idle transaction; a prepared statement that a pooler or a
# migration has invalidated ("cached plan must not change result type" has the code of an unsupported feature).
_PASSING_STATES = frozenset({"25006", "25P02", "25P03", "25P04", "26000", "42P05"})
_STALE_PLAN = "cached plan must not change result type"
# Errors of redis-py that are programming faults: of a command, of its arguments, or of the library's use.
_REDIS_FAULTS = (
    redis.DataError,
    redis.exceptions.LockError,
    redis.exceptions.ModuleError,
    redis.exceptions.NoScriptError,
    redis.exceptions.NoSuchFieldsetError,
    redis.exceptions.PubSubError,
    redis.WatchError,
)
# Replies by which a server refuses work that it may accept later. redis-py has no class for some of them, and in the
# error of a script they follow other words.
_REFUSALS = re.compile(
    r"\b(READONLY|OOM|MISCONF|NOREPLICAS|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOPERM|NOAUTH|WRONGPASS|ASK|MOVED"
    r"|CROSSSLOT|EXECABORT)\b"
)


def translate(error: BaseException) -> PricingError | None:
    """The engine's error for a library's error; None for an unforeseen error.

    Only the errors of a server say that the same work may succeed later.
    """
    match error:
        case PricingError():
            return error
        case msgspec.ValidationError():
            return InvalidInput(*fault_of(str(error)))
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
        # An error of the connection or the pool; the error of a statement has a state.
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES or _STALE_PLAN in str(error)


def _is_redis_away(error: redis.RedisError) -> bool:
    if isinstance(error, _REDIS_FAULTS):
        return False
    # A plain ResponseError stands for any reply of a server.
    return type(error) is not redis.ResponseError or bool(_REFUSALS.search(str(error)))


@contextmanager
def translated() -> Iterator[None]:
    """Raise the engine's errors out of a block in place of its libraries'."""
    try:
        yield
    except Exception as error:
        known = translate(error)
        if known is None or known is error:
            raise
        raise known from error


def retryable(error: BaseException) -> bool:
    """Whether the same work may succeed in another attempt."""
    known = translate(error)
    return known is not None and known.retryable


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
