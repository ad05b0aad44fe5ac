"""The compression of large answers, for callers that accept gzip."""

import asyncio
import gzip
from collections.abc import Iterable

from api.http.negotiation import accepts_gzip

Headers = list[tuple[bytes, bytes]]

# A smaller answer takes as long to compress as it takes to send.
SMALLEST = 200_000
# Level 3 takes half the time of level 6, and its result is a tenth larger.
LEVEL = 3
_TEXTS = (b"application/json", b"application/javascript", b"application/vnd.oai", b"text/")


async def compressed(asked: Iterable[tuple[bytes, bytes]], headers: Headers, body: bytes) -> tuple[Headers, bytes]:
    """Headers and body of a whole answer, compressed on a thread where it is large and the caller accepts that.

    The entity tag becomes a weak one: it stands for the same state in another form.
    """
    named = dict(headers)
    if len(body) < SMALLEST or not named.get(b"content-type", b"").startswith(_TEXTS):
        return headers, body
    headers = [*headers, (b"vary", b"Accept-Encoding")]
    if not accepts_gzip(value.decode("latin-1") for name, value in asked if name == b"accept-encoding"):
        return headers, body
    # Without a time, the same answer has the same bytes.
    body = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
    changed = {b"content-length": b"%d" % len(body), b"etag": b"W/" + named.get(b"etag", b"").removeprefix(b"W/")}
    headers = [(name, changed.get(name, value)) for name, value in headers]
    return [*headers, (b"content-encoding", b"gzip")], body
