"""A rulebook as the JSON document that is stored and shown."""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from shared.errors import InvalidInput, translated
from shared.pricing import rulebook_check
from shared.pricing.conditions import Condition
from shared.pricing.rulebook import PriceList, Promotion, Rulebook
from shared.pricing.rulebook_check import RulebookRefused
from shared.wire import amounts
from shared.wording import worded

T = TypeVar("T")

NUMBERS = msgspec.json.Encoder(decimal_format="number")
_VALUES = ("eq", "in_", "not_in")


def encoded(part: msgspec.Struct) -> bytes:
    """A rulebook, or a part of one, in JSON. Amounts are strings; a condition's values keep their types."""
    return NUMBERS.encode(builtins(part))


def builtins(part: msgspec.Struct) -> dict[str, Any]:
    """The same before it is encoded: only the numbers of conditions are Decimals."""
    document: dict[str, Any] = msgspec.to_builtins(part)
    match part:
        case Rulebook():
            for name in ("price_lists", "promotions"):
                for made, written in zip(document[name], getattr(part, name), strict=True):
                    _keep_types(made, written)
        case PriceList() | Promotion():
            _keep_types(document, part)
    return document


def decoded(document: str) -> Rulebook:
    """A stored rulebook."""
    # The numbers of conditions have no type of their own: without the hook they would become floats.
    return msgspec.json.Decoder(Rulebook, float_hook=Decimal).decode(document)


def read(content: bytes, kind: type[T]) -> T:
    """A document that a person wrote: the numbers of conditions stay exact, and amounts are strings.

    Raises:
        NotJson: it is not JSON.
        InvalidInput: it has the wrong shape; `path` names the first wrong field.
    """
    with translated():
        document = msgspec.json.Decoder(float_hook=amounts.exact).decode(content)
    try:
        part = rulebook_check.converted(document, kind)
    except RulebookRefused as error:
        raise InvalidInput(worded(error.reason), f"$.{error.path}" if error.path else "$") from None
    amounts.check(part, document)
    return part


def checked(rulebook: Rulebook) -> Rulebook:
    """The rulebook as it is stored.

    Raises:
        InvalidInput: its parts contradict each other, a window or a reference is wrong, or it is too large.
    """
    try:
        return rulebook_check.checked(rulebook)
    except RulebookRefused as error:
        raise InvalidInput(error.reason, f"$.{error.path}" if error.path else "$") from None


def _keep_types(document: dict[str, Any], part: PriceList | Promotion) -> None:
    for made, condition in zip(document["conditions"], part.conditions, strict=True):
        _keep_values(made, condition)


def _keep_values(made: dict[str, Any], condition: Condition) -> None:
    for name in _VALUES:
        if (value := getattr(condition, name)) is not None:
            made[name.rstrip("_")] = value
