"""The translation of the libraries' errors covers all of them, and says where a document is wrong."""

import re
from collections.abc import Iterator
from decimal import Decimal

import msgspec
import psycopg
import pytest
import redis

from shared import errors
from shared.errors import PricingError, retryable, translate, translated


class Inner(msgspec.Struct):
    """A struct whose own check names its field."""

    price: Decimal

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError("`price` must be 0 or more")


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    """Holds structs at depth."""

    data: Inner
    more: list[Inner] = []
    named: dict[str, Inner] = {}


class Nested(msgspec.Struct):
    """A check that names a field further down."""

    tiers: list[int]

    def __post_init__(self) -> None:
        raise ValueError("`tiers[1].unit_price` must have at most 2 decimals in USD")


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def unicode_error() -> UnicodeDecodeError:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


@pytest.mark.parametrize(
    "error",
    [
        msgspec.DecodeError("Input data was truncated"),
        unicode_error(),
    ],
)
def test_what_is_no_json_is_told_so(error: Exception) -> None:
    known = translate(error)
    assert isinstance(known, errors.NotJson)
    assert known.path == "$"
    assert not retryable(error)


@pytest.mark.parametrize("error", [psycopg.DataError("NUL"), psycopg.errors.NumericValueOutOfRange("too large")])
def test_what_postgres_cannot_store_is_the_callers_fault(error: Exception) -> None:
    assert type(translate(error)) is errors.InvalidInput
    assert not retryable(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        RuntimeError("x"),
        psycopg.errors.UniqueViolation("x"),
        psycopg.ProgrammingError("x"),
        redis.ResponseError("x"),
        redis.DataError("x"),
        KeyboardInterrupt(),
    ],
)
def test_what_nobody_foresaw_is_not_translated_and_not_retried(error: BaseException) -> None:
    assert translate(error) is None
    assert not retryable(error)


def test_our_own_errors_stay_as_they_are() -> None:
    error = errors.NotFound("no product")
    assert translate(error) is error


RETRYABLE = {
    errors.PricingError: False,
    errors.InvalidInput: False,
    errors.NotJson: False,
    errors.NoHistory: False,
    errors.OfferRefused: False,
    errors.OfferExpired: False,
    errors.OfferForeign: False,
    errors.OfferForged: False,
    errors.OfferRevoked: False,
    errors.UrlTooLong: False,
    errors.SlowBody: False,
    errors.RateLimited: False,
    errors.NotFound: False,
    errors.AlreadyEnded: False,
    errors.ChangesGone: False,
    errors.Superseded: False,
    errors.StillInUse: False,
    errors.StalePlan: False,
    errors.PlanFirst: False,
    errors.OtherData: False,
    errors.Unauthorized: False,
    errors.Forbidden: False,
    errors.UnusableProduct: False,
    errors.Unavailable: True,
    errors.DatabaseUnavailable: True,
    errors.StatementTimeout: True,
    errors.Overloaded: True,
    errors.RedisUnavailable: True,
    errors.LockLost: True,
    errors.LeaseLost: True,
    errors.ExternalAPIError: True,
    errors.ExternalAPITimeout: True,
}
OWN = {kind for kind in subclasses(PricingError) if kind.__module__ == errors.__name__}


@pytest.mark.parametrize(("kind", "is_retryable"), RETRYABLE.items())
def test_retryable_is_a_property_of_the_class(kind: type[PricingError], is_retryable: bool) -> None:
    assert kind.retryable is is_retryable
    assert retryable(kind("x")) is is_retryable


def test_every_class_of_the_module_is_said_to_be_retryable_or_not() -> None:
    assert set(RETRYABLE) == OWN


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    own = {kind.__name__: kind.__bases__[0].__name__ for kind in OWN - {PricingError}}
    assert drawn_parents(errors.__doc__ or "") == own


def drawn_parents(docstring: str) -> dict[str, str]:
    """The parent of each class in a tree that is drawn with a column of four characters a level."""
    parents: dict[str, str] = {}
    ancestors = ["PricingError"]
    for line in re.findall(r"^[│ ]*[├└]── \w+", docstring, re.MULTILINE):
        branch, name = line.rsplit(" ", 1)
        depth = len(branch) // 4 + 1
        parents[name] = ancestors[depth - 1]
        ancestors[depth:] = [name]
    return parents


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (b'{"data": {"price": "-1"}}', "$.data.price"),
        (b'{"data": {"price": "1"}, "more": [{"price": "1"}, {"price": "-1"}]}', "$.more[1].price"),
        (b'{"data": {"price": []}}', "$.data.price"),
        (b'{"data": {}}', "$.data"),
        (b'{"data": {"price": "1"}, "what": 1}', "$.what"),
        (b"{}", "$"),
        (b"[]", "$"),
        (b'{"data": 1}', "$.data"),
        (b'{"data": {"price": "1"}, "named": {"a": {"price": "-1"}}}', "$.named[...].price"),
    ],
)
def test_the_path_of_the_first_wrong_field(document: bytes, path: str) -> None:
    with pytest.raises(errors.InvalidInput) as wrong, translated():
        msgspec.json.decode(document, type=Outer)
    assert wrong.value.path == path


def test_a_check_may_name_a_field_further_down() -> None:
    with pytest.raises(errors.InvalidInput) as wrong, translated():
        msgspec.json.decode(b'{"tiers": []}', type=Nested)
    assert wrong.value.path == "$.tiers[1].unit_price"


def test_a_reason_stands_without_its_path_and_the_text_has_both() -> None:
    with pytest.raises(errors.InvalidInput) as wrong, translated():
        msgspec.json.decode(b'{"data": {"price": "-1"}}', type=Outer)
    assert wrong.value.reason == "`price` must be 0 or more"
    assert str(wrong.value) == "$.data.price: `price` must be 0 or more"


def test_a_block_lets_out_the_engines_error_with_its_cause() -> None:
    away = redis.ConnectionError("refused")
    with pytest.raises(errors.RedisUnavailable) as raised, translated():
        raise away
    assert raised.value.__cause__ is away


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), errors.Unauthorized("x"), errors.LockLost("x"), errors.ExternalAPITimeout("x")]
)
def test_a_block_lets_out_what_it_cannot_translate_and_what_is_ours(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translated():
        raise error
    assert raised.value is error


def test_an_error_of_several_lines_is_one_sentence() -> None:
    text = str(translate(psycopg.OperationalError("connection failed:\n  refused\n")))
    assert text == "PostgreSQL: connection failed: refused"
    assert str(translate(psycopg.OperationalError())) == "PostgreSQL: OperationalError"
