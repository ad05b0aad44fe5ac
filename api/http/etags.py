"""Entity tags and the conditions on them (RFC 9110, sections 8.8.3 and 13)."""

import base64
import hashlib
import re
from collections.abc import Collection

import msgspec
from litestar.exceptions import HTTPException

ANY = "*"
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def tag_of(document: object) -> str:
    """The strong tag of a document: equal documents have equal tags."""
    return tag_of_bytes(msgspec.json.encode(document))


def tag_of_bytes(content: bytes) -> str:
    """The strong tag of a representation."""
    return f'"{base64.urlsafe_b64encode(hashlib.blake2b(content, digest_size=12).digest()).decode()}"'


def is_known(if_none_match: str, tag: str) -> bool:
    """Whether `If-None-Match` names a tag, by the weak comparison, so that the caller has the representation."""
    return if_none_match.strip() == ANY or tag.removeprefix("W/") in _TAG.findall(if_none_match)


def check_write(if_match: str | None, if_none_match: str | None, current: str | None) -> None:
    """Check the conditions of a write.

    Args:
        if_match: The header `If-Match`. Weak tags never match.
        if_none_match: The header `If-None-Match`; `*`: only where the resource does not exist.
        current: The tag of the resource as it is; None: it does not exist.

    Raises:
        HTTPException: 412: a condition is false.
    """
    if if_match is not None and (current is None or (if_match.strip() != ANY and current not in _strong(if_match))):
        raise failed("it has changed since: read it again, and decide")
    if if_none_match is not None and current is not None and is_known(if_none_match, current):
        raise failed("it exists already")


def check_match(if_match: str | None, tags: Collection[str], *, exists: bool) -> None:
    """Check `If-Match` of a write against several tags, each of which stands for the resource as it is.

    Raises:
        HTTPException: 412: it names none of them; or it is `*`, and the resource does not exist.
    """
    if if_match is not None and not (exists if if_match.strip() == ANY else set(tags) & set(_strong(if_match))):
        raise failed("it has changed since: read it again, and decide")


def failed(reason: str) -> HTTPException:
    """The error of a condition that is false."""
    return HTTPException(status_code=412, detail=reason)


def _strong(tags: str) -> list[str]:
    return [match[1] for match in _TAG.finditer(tags) if not match[0].startswith("W/")]
