"""CORS: which origins' pages may read the answers; none, unless `PRICING_CORS_ORIGINS` names them.

Litestar's own CORS replaces `Vary`, and lets a page send methods that a path does not have.
"""

from collections.abc import Iterable

from api.http import negotiation

ANY = b"*"


class Cors:
    """The headers by which browsers let the pages of other origins use the API."""

    def __init__(self, origins: str) -> None:
        """CORS for `PRICING_CORS_ORIGINS`: origins with commas between them, `*` for any, or nothing."""
        self._origins = frozenset(origin.strip().encode() for origin in origins.split(",") if origin.strip())

    @property
    def is_on(self) -> bool:
        """Whether any origin is allowed."""
        return bool(self._origins)

    def is_usual(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """As `negotiation.is_usual`, for requests that no page of another origin sends."""
        return negotiation.is_usual(headers) and not any(name == b"origin" for name, _ in headers)

    def headers(self, asked: Iterable[tuple[bytes, bytes]], allowed: bytes) -> list[tuple[bytes, bytes]]:
        """The headers of an answer.

        Args:
            asked: The headers of the request.
            allowed: The methods of the path, where they are known.
        """
        if not self.is_on:
            return []
        origin = next((value for name, value in asked if name == b"origin"), b"")
        if ANY not in self._origins and origin not in self._origins:
            return [_VARY]
        headers = [_VARY, (b"access-control-allow-origin", ANY if ANY in self._origins else origin), _READ]
        return [*headers, (b"access-control-allow-methods", allowed), *_PREFLIGHT] if allowed else headers


_VARY = (b"vary", b"Origin")
_READ = (
    b"access-control-expose-headers",
    b"etag, idempotency-replayed, ratelimit, ratelimit-policy, retry-after, traceresponse",
)
_PREFLIGHT = (
    (
        b"access-control-allow-headers",
        b"authorization, content-type, idempotency-key, if-match, if-none-match, traceparent, tracestate",
    ),
    (b"access-control-max-age", b"600"),
)
