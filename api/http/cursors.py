"""Cursors of lists: where the next page begins, in a form that callers do not read."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from shared.errors import InvalidInput

T = TypeVar("T")

LONGEST = 2_000


def encode(position: object) -> str:
    """The cursor of a position."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode(cursor: str | None, kind: Any) -> Any:
    """The position of a cursor, of this type; None where there is no cursor.

    Raises:
        InvalidInput: it is not a cursor of this list.
    """
    if cursor is None:
        return None
    try:
        if len(cursor) > LONGEST:
            raise ValueError
        position = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(position, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidInput("not the `next` of a page of this list", "$.cursor") from None


def split(found: Sequence[T], limit: int) -> tuple[list[T], T | None]:
    """The items of a page, of one more than fit; and the last of them where another page follows."""
    return list(found[:limit]), found[limit - 1] if len(found) > limit else None
