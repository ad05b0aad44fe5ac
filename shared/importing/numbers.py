"""Numbers as people and spreadsheet programs write them: 1,234.56 and 1.234,56 and 1 234,56 and 12.0."""

import re
from typing import Literal

DecimalMark = Literal["point", "comma"]

_MARKS: dict[DecimalMark, str] = {"point": ".", "comma": ","}
_EXAMPLES = {None: "49.90 or 49,90", "point": "49.90", "comma": "49,90"}
_LONGEST = 40
# Blanks and apostrophes that group digits by three.
_GROUPED = re.compile(r"(?<=[0-9])[ '’\u00a0\u202f](?=[0-9]{3}(?![0-9]))")
_PATTERNS = {
    mark: re.compile(rf"-?(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+)(?:{re.escape(mark)}[0-9]+)?").fullmatch
    for mark, group in ((".", ","), (",", r"\."))
}
# With one mark, before three digits: 1.500 is one and a half, or fifteen hundred.
_AMBIGUOUS = re.compile(r"-?[1-9][0-9]{0,2}[.,][0-9]{3}").fullmatch
_WHOLE = re.compile(r"(?P<whole>-?[0-9]{1,18})(?:\.0+)?").fullmatch


def plain(text: str, mark: DecimalMark | None, places: int) -> str:
    """The same number with a decimal point and without grouping.

    Args:
        text: The text of a cell.
        mark: The file's decimal mark; None: decided by the text alone.
        places: The most decimals that such a number has. With three or more, a point before three digits is a
            decimal point.

    Raises:
        ValueError: it is not a number, or without a mark it can be two numbers.
    """
    if len(text) > _LONGEST:
        raise ValueError(_no_number(text, mark))
    digits = _GROUPED.sub("", text)
    decimal = _MARKS[mark] if mark else _mark(text, digits, places)
    if not _PATTERNS[decimal](digits):
        raise ValueError(_no_number(text, mark))
    return digits.replace("," if decimal == "." else ".", "").replace(",", ".")


def whole(text: str, mark: DecimalMark | None) -> int:
    """A whole number, also one that is written as 12.0.

    Raises:
        ValueError: it is no whole number, or without a mark it can be two numbers.
    """
    found = _WHOLE(plain(text, mark, 0))
    if not found:
        raise ValueError(f"{shown(text)} must be a whole number such as 12")
    return int(found["whole"])


def shown(text: str) -> str:
    """The beginning of a cell, for a message."""
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _mark(text: str, digits: str, places: int) -> str:
    """The decimal mark of a number: of two marks the last one; a mark that occurs twice is grouping."""
    if _AMBIGUOUS(digits) and (places < 3 or "," in digits):
        one = digits.replace(",", ".").rstrip("0").rstrip(".")
        both = f"{one} or {digits.replace(',', '').replace('.', '')}"
        raise ValueError(f"{shown(text)} can be {both}: --decimal point or --decimal comma tells which")
    last = max(digits.rfind("."), digits.rfind(","))
    if last < 0:
        return "."
    mark = digits[last]
    return mark if digits.count(mark) == 1 else _other(mark)


def _other(mark: str) -> str:
    return "," if mark == "." else "."


def _no_number(text: str, mark: DecimalMark | None) -> str:
    return f"{shown(text)} is not a number such as {_EXAMPLES[mark]}, without a currency sign"
