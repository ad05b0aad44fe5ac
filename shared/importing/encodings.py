"""Encodings: which one a text has, by its first bytes."""

import codecs
import re
from typing import NamedTuple


class Encoding(NamedTuple):
    """An encoding.

    Attributes:
        name: As Python names it.
        shown: As people name it.
        guess: Where it is a guess: a sentence that says so.
    """

    name: str
    shown: str
    guess: str = ""


UTF8 = Encoding("utf-8-sig", "UTF-8")
_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, Encoding("utf-16", "UTF-16")),
    (codecs.BOM_UTF16_BE, Encoding("utf-16", "UTF-16")),
)
_WINDOWS = Encoding(
    "cp1252",
    "Windows-1252",
    "it is not UTF-8, and is read as Windows-1252: --encoding names another encoding, such as iso-8859-2",
)
# The text of Western languages: no control characters, and no bytes that Windows-1252 leaves free.
_WINDOWS_TEXT = re.compile(rb"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d]*").fullmatch
_IN_UTF8 = re.compile(rb"[\xc3-\xf4][\x80-\xbf]").search


def found(head: bytes) -> Encoding:
    """The encoding of a text that begins with these bytes.

    A byte order mark names it, and zeros beside ASCII are UTF-16. Else it is UTF-8, unless only Windows-1252 fits.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[0:40:2], head[1:40:2]
    if len(odd) > 1 and not any(odd) and all(even):
        return Encoding("utf-16-le", "UTF-16")
    if len(odd) > 1 and not any(even) and all(odd):
        return Encoding("utf-16-be", "UTF-16")
    return UTF8 if _is_utf8(head) or _IN_UTF8(head) or not _WINDOWS_TEXT(head) else _WINDOWS


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
