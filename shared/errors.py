"""The engine's errors, and the one place that translates those of its libraries.

PricingError
├── InvalidInput            the caller's document is of the wrong shape or content
│   └── NotJson             … or no JSON at all
├── NotFound
├── AlreadyEnded            the task can no longer be changed
├── Unauthorized
└── Unavailable             passes; the same work may be tried again (`retryable`)
    ├── DatabaseUnavailable
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
    """PostgreSQL is away, restarting or out of connections."""


class RedisUnavailable(Unavailable):
    """Redis is away, loading or stalled."""


class LockLost(Unavailable):
    """The recalculation lock is no longer ours."""


class LeaseLost(Unavailable):
    """The work is another worker's by now, or is not to be done any more."""


class ExternalAPIError(Unavailable):
    """The market-data feed cannot be reached or does not make sense."""


class ExternalAPITimeout(ExternalAPIError):
    """The market-data feed did not answer in time."""


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
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return DatabaseUnavailable(f"PostgreSQL: {_one_line(error)}")
        case redis.ConnectionError() | redis.TimeoutError():
            return RedisUnavailable(f"Redis: {_one_line(error)}")
        case _:
            return None


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
