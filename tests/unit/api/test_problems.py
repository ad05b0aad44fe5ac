"""Every error has its answer, and what nobody foresaw says nothing."""

from collections.abc import Iterator
from http import HTTPStatus

import msgspec
import psycopg
import psycopg_pool
import pytest
import redis
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotAuthorizedException,
    NotFoundException,
    ValidationException,
)

from api.http import problems
from api.http.problems import problem_of
from shared.cache.sheets import CorruptSheet
from shared.errors import (
    AlreadyEnded,
    DatabaseUnavailable,
    ExternalAPITimeout,
    Forbidden,
    InvalidInput,
    LockLost,
    NotFound,
    NotJson,
    PricingError,
    RedisUnavailable,
    StatementTimeout,
    Unauthorized,
)
from shared.pricing.answer import NoPrice

PATH = "/api/v1/price"
# Raised within the engine and met there: a corrupt cache entry is read again from the database.
NEVER_ANSWERED = {CorruptSheet}
# A driver's text names hosts, users and versions: no caller reads it.
OF_SERVERS = {DatabaseUnavailable, StatementTimeout, RedisUnavailable}


def tree(kind: type[PricingError]) -> Iterator[type[PricingError]]:
    for child in kind.__subclasses__():
        yield child
        yield from tree(child)


@pytest.mark.parametrize("kind", sorted(set(tree(PricingError)) - NEVER_ANSWERED, key=str))
def test_every_error_of_the_engine_has_a_status(kind: type[PricingError]) -> None:
    problem = problem_of(kind("why"), PATH)
    assert problem.status != 500
    assert (problem.detail == "why") == (kind not in OF_SERVERS)
    assert (problem.title, problem.instance) == (HTTPStatus(problem.status).phrase, PATH)
    assert len(problem.trace_id) == 32


@pytest.mark.parametrize(
    ("error", "status", "type_", "path"),
    [
        (InvalidInput("wrong", "$.quantity"), 422, "urn:pricing:invalid-input", "$.quantity"),
        (NotJson("not JSON"), 400, "urn:pricing:not-json", "$"),
        (NoPrice("P-1", "EUR", "other_currency"), 422, "urn:pricing:no-price", "$.currency"),
        (NotFound("no product"), 404, "urn:pricing:not-found", None),
        (AlreadyEnded("it has ended"), 409, "urn:pricing:already-ended", None),
        (Unauthorized("no key"), 401, "urn:pricing:unauthorized", None),
        (Forbidden("this needs operate"), 403, "urn:pricing:forbidden", None),
        (DatabaseUnavailable("away"), 503, "urn:pricing:unavailable", None),
        (RedisUnavailable("away"), 503, "urn:pricing:unavailable", None),
        (LockLost("lost"), 503, "urn:pricing:unavailable", None),
        (ExternalAPITimeout("late"), 503, "urn:pricing:unavailable", None),
        (msgspec.ValidationError("Expected `int` >= 1 - at `$.quantity`"), 422, "urn:pricing:invalid-input", None),
        (msgspec.DecodeError("truncated"), 400, "urn:pricing:not-json", "$"),
        (psycopg.OperationalError("refused"), 503, "urn:pricing:unavailable", None),
        (redis.TimeoutError("late"), 503, "urn:pricing:unavailable", None),
        (NotFoundException(), 404, "urn:pricing:http", None),
        (MethodNotAllowedException(), 405, "urn:pricing:http", None),
        (NotAuthorizedException(), 401, "urn:pricing:http", None),
        (HTTPException(status_code=413, detail="too large"), 413, "urn:pricing:http", None),
    ],
)
def test_each_error_gets_the_status_of_its_kind(error: Exception, status: int, type_: str, path: str | None) -> None:
    problem = problem_of(error, PATH)
    assert (problem.status, problem.type) == (status, type_)
    if path:
        assert problem.path == path


def test_a_wrong_parameter_is_a_wrong_field() -> None:
    error = ValidationException(detail="failed", extra=[{"message": "Expected `int` >= 1", "key": "limit"}])
    problem = problem_of(error, PATH)
    assert (problem.status, problem.path, problem.detail) == (422, "$.limit", "must be a whole number of at least 1")


@pytest.mark.parametrize("extra", [None, [], {}, [{}]])
def test_a_wrong_parameter_without_a_name_is_a_wrong_document(extra: list[object]) -> None:
    problem = problem_of(ValidationException(detail="failed", extra=extra), PATH)
    assert (problem.status, problem.path, problem.detail) == (422, "$", "failed")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("password=hunter2"),
        KeyError("hunter2"),
        psycopg.errors.SyntaxError("hunter2"),
        redis.ResponseError("hunter2"),
        PricingError("hunter2"),
    ],
)
def test_an_unforeseen_error_says_nothing_internal(error: Exception) -> None:
    problem = problem_of(error, PATH)
    assert (problem.status, problem.type) == (500, "urn:pricing:internal")
    assert "hunter2" not in msgspec.json.encode(problem).decode()
    assert type(error).__name__ not in msgspec.json.encode(problem).decode()


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("connection to server at 10.0.0.7, user pricing: hunter2"),
        psycopg.errors.QueryCanceled("hunter2"),
        psycopg_pool.PoolTimeout("hunter2"),
        redis.ConnectionError("Error 111 connecting to 10.0.0.7:6379. hunter2"),
        redis.exceptions.ReadOnlyError("hunter2"),
    ],
)
def test_the_text_of_a_driver_is_in_no_problem(error: Exception) -> None:
    problem = problem_of(error, PATH)
    assert (problem.status, problem.type) == (503, "urn:pricing:unavailable")
    assert "hunter2" not in problem.detail


def test_subclasses_stand_before_their_parents() -> None:
    kinds = [kind for kind, _ in problems.STATUSES]
    for index, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[index + 1 :])


def test_a_document_without_a_wrong_field_has_no_path() -> None:
    assert b"path" not in msgspec.json.encode(problem_of(NotFound("no product"), "/x"))
