"""Faults are said in words for people: what is allowed, what was given, and what was probably meant."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta, Struct

from shared.errors import InvalidInput
from shared.pricing.product import ProductInput
from shared.pricing.rulebook import PartId
from shared.wire.choices import choices_shown
from shared.wording import worded


class Document(Struct, forbid_unknown_fields=True):
    code: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "EUR"
    other: Annotated[str, Meta(pattern="^x+$")] = "x"
    part: PartId = "a"
    unit: Literal["kg", "ml", "piece"] | None = None
    units: list[Literal["kg", "ml"]] = []
    count: Annotated[int, Meta(ge=1, le=5)] = 1
    price: Decimal | None = None
    at: datetime | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=3)] = "a"
    tags: Annotated[tuple[str, ...], Meta(min_length=1, max_length=2)] = ("a",)
    id: UUID | None = None
    known: bool = False
    size: int | float = 1
    step: Annotated[int, Meta(multiple_of=5)] = 5


class Needing(Struct):
    price: Decimal


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("code", "eur", "must be three capital letters, such as USD"),
        ("code", 3, "must be text, not a whole number"),
        ("other", "y", "has a wrong form; the API's documentation shows an example"),
        ("part", "-a", "must begin with a letter or digit, and go on with letters, digits, . _ and -"),
        ("unit", "KGS", "'KGS' is not allowed there; did you mean kg? use one of kg, ml, piece"),
        ("unit", "bottle", "'bottle' is not allowed there; use one of kg, ml, piece"),
        ("units", ["l"], "'l' is not allowed there; did you mean ml? use one of kg, ml"),
        ("count", 0, "must be a whole number of at least 1"),
        ("count", 9, "must be a whole number of at most 5"),
        ("size", "3", "must be a number, not text"),
        ("count", 1.5, "must be a whole number, not a number"),
        ("price", "9,90", "must be a number such as 49.90"),
        ("price", [], "must be a number such as 49.90 or null, not a list"),
        ("at", "tomorrow", "must be a time such as 2026-11-27T18:00:00Z"),
        ("since", "2026-11-27T18:00:00", "needs an offset from UTC, such as Z or +01:00"),
        ("name", "", "must have at least 1 character"),
        ("name", "long", "must have at most 3 characters"),
        ("tags", [], "must have at least 1 entry"),
        ("tags", ["a", "b", "c"], "must have at most 2 entries"),
        ("id", "x", "must be a UUID"),
        ("known", "yes", "must be true or false, not text"),
        ("step", 3, "must be a multiple of 5"),
    ],
)
def test_a_fault_says_what_is_allowed(field: str, value: Any, words: str) -> None:
    assert refused({field: value}).reason == words


def refused(document: Any, kind: Any = Document) -> InvalidInput:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(document, kind)
    known = choices_shown(caught.value, kind)
    assert isinstance(known, InvalidInput)
    return known


def test_an_unknown_field_and_a_missing_one_are_named() -> None:
    unknown = refused({"cuont": 1})
    assert (unknown.path, unknown.reason.split(" use")[0]) == ("$.cuont", "unknown field `cuont`; did you mean count?")
    assert refused({}, Needing).reason == "the field `price` is missing"
    assert refused([], Needing).reason == "must be an object, not a list"


def test_nested_words_are_found_at_their_place() -> None:
    content = {"amount": "1", "unit": "litre"}
    document = {"product_id": "a", "name": "a", "currency": "EUR", "base_price": "1", "content": content}
    found = refused(document, ProductInput)
    assert (found.path, "use one of cl, cm, g, kg" in found.reason) == ("$.content.unit", True)


def test_sentences_of_our_own_stay() -> None:
    assert worded("`min_price` must not be above max_price") == "`min_price` must not be above max_price"


def test_words_that_a_check_of_the_rulebook_lists_are_kept() -> None:
    text = "Invalid enum value 'ENDING_99'; use one of nearest, up, down"
    assert worded(text) == "'ENDING_99' is not allowed there; use one of nearest, up, down"
