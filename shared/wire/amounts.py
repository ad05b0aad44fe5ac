"""Amounts as text: only digits and a point, not the other forms that Python reads as a number."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from shared.errors import InvalidInput

is_plain = re.compile(r"-?[0-9]+(\.[0-9]+)?").fullmatch
REASON = "must be a plain number such as 49.90"


def exact(digits: str) -> Decimal:
    """The exact number with these digits in a JSON document, for msgspec's `float_hook`.

    Raises:
        msgspec.ValidationError: the exponent is too large for a Decimal.
    """
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise msgspec.ValidationError("a number is out of range") from None


def check(value: object, document: object, path: str = "$") -> None:
    """Check the amounts of a decoded value in the document from which it was decoded.

    Python's Decimal also reads 1_0, 1e2, a number between blanks, and the digits of other scripts.

    Raises:
        InvalidInput: an amount is such a text; the path names the first one.
    """
    if isinstance(value, Decimal):
        if isinstance(document, str) and not is_plain(document):
            raise InvalidInput(REASON, path)
    elif isinstance(value, msgspec.Struct) and isinstance(document, Mapping):
        for name, written in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            check(getattr(value, name), document.get(written), f"{path}.{written}")
    elif isinstance(value, Mapping) and isinstance(document, Mapping):
        for name, part in value.items():
            check(part, document.get(name), f"{path}.{name}")
    elif isinstance(value, tuple | list) and isinstance(document, Sequence):
        for at, (one, part) in enumerate(zip(value, document, strict=False)):
            check(one, part, f"{path}[{at}]")


def has_amounts(kind: Any) -> bool:
    """Whether documents of this type contain amounts."""
    return "Decimal" in repr(msgspec.inspect.type_info(kind))
