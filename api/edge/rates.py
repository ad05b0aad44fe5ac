"""Which requests are limited by rate, and by whose bucket; and the log of keys that failed."""

import time
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network

import structlog
from litestar.types import HTTPScope

from api.bulkheads import Traffic
from api.edge.callers import Address, Callers
from api.http.answers import SIGN_IN_PATH
from shared.access.keys import LiveKey
from shared.access.rate_limits import Kind, RateLimits
from shared.errors import RateLimited
from shared.telemetry.metrics import FAILED_KEYS

log = structlog.get_logger(__name__)

KINDS: dict[Traffic, Kind] = {"writes": "writes", "reads": "lists", "streams": "lists"}
LIMITED = "/api/"
LOG_INTERVAL_S = 1.0
# One subscriber of IPv6 has a network of addresses.
IPV6_NETWORK = 64


class Rates:
    """Limits writes and lists by key, else by address, and keys that are not known by address."""

    def __init__(
        self,
        limits: Callable[[], RateLimits],
        key_of: Callable[[HTTPScope], LiveKey | None],
        callers: Callers,
        includes_loopback: bool = False,
    ) -> None:
        """Rates of one process.

        Args:
            limits: Returns the buckets, once the application has started.
            key_of: The live key of a request, where this process holds it.
            callers: Tells the caller's address.
            includes_loopback: Whether callers on this machine are limited, too.
        """
        self._limits, self._key_of, self._callers = limits, key_of, callers
        self._includes_loopback = includes_loopback
        self._logged_at, self._failed = float("-inf"), 0

    async def take(self, scope: HTTPScope, traffic: Traffic) -> dict[str, str]:
        """Take what a request needs from the caller's buckets; the headers that tell what is left.

        Raises:
            RateLimited: a bucket is empty.
        """
        address = self._callers.address(scope)
        if address is None or (address.is_loopback and not self._includes_loopback):
            return {}
        key = self._key_of(scope)
        if key is None and _tries_key(scope):
            # A key of the last second may not be known here yet: it costs its caller a token.
            await self._take("failed-keys", bucket_of(address))
        kind = KINDS.get(traffic)
        if kind is None or not scope["path"].startswith(LIMITED):
            return {}
        return await self._take(kind, bucket_of(address) if key is None else f"key:{key.id}")

    def note(self, scope: HTTPScope, status: int) -> None:
        """Count a key that failed, and log it, once a second at most."""
        if status != 401 or not _tries_key(scope):
            return
        FAILED_KEYS.inc()
        self._failed += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL_S:
            address = str(self._callers.address(scope))
            log.warning("key refused", address=address, path=scope["path"][:200], since_last_line=self._failed)
            self._logged_at, self._failed = now, 0

    async def _take(self, kind: Kind, bucket: str) -> dict[str, str]:
        allowance = await self._limits().take(kind, bucket)
        if allowance is None:
            return {}
        if allowance.is_exceeded:
            raise RateLimited(
                f"too many {kind.replace('-', ' ')}; the limit is for each key or address", allowance.headers()
            )
        return allowance.headers()


def bucket_of(address: Address) -> str:
    """The name of an address's bucket; the addresses of an IPv6 network share one."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, IPV6_NETWORK), strict=False).network_address)
    return str(address)


def _tries_key(scope: HTTPScope) -> bool:
    """Whether a request has a key, or signs in to the console with one."""
    return scope["path"] == SIGN_IN_PATH or any(name == b"authorization" for name, _ in scope["headers"])
