"""The primary of a Redis behind Sentinel, looked up anew for each connection.

redis-py's own pools for Sentinel do not wait for a free connection. Its connections are used here, in pools that do:
one that reads READONLY disconnects, and its next use looks the primary up again.
"""

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncManagedConnection
from redis.sentinel import Sentinel, SentinelManagedConnection

from shared.addresses import Sentinels

# A look-up asks one Sentinel after the other until one answers.
LOOKUP_TIMEOUT_S = 0.2


def pool(address: Sentinels, wait_s: float, options: dict[str, Any]) -> redis.BlockingConnectionPool:
    """A pool whose connections lead to the primary.

    Args:
        address: The Sentinels, and what they call the primary.
        wait_s: The longest wait for a free connection.
        options: Of each connection.
    """
    return redis.BlockingConnectionPool(  # type: ignore[no-untyped-call] # redis-py has no types here
        connection_class=SentinelManagedConnection,
        timeout=wait_s,
        connection_pool=_Primary(address),
        **address.login(),
        **options,
    )


def async_pool(address: Sentinels, wait_s: float, options: dict[str, Any]) -> redis.asyncio.BlockingConnectionPool:
    """As `pool`, for asyncio."""
    return redis.asyncio.BlockingConnectionPool(
        connection_class=AsyncManagedConnection,
        timeout=wait_s,
        connection_pool=_AsyncPrimary(address),
        **address.login(),
        **options,
    )


class _Primary:
    """What a connection of redis-py asks for its address."""

    is_master, check_connection = True, False

    def __init__(self, address: Sentinels) -> None:
        self.service_name = address.service
        self._sentinel = Sentinel(address.hosts, sentinel_kwargs=_lookup(address))  # type: ignore[no-untyped-call] # redis-py has no types here

    def get_master_address(self) -> tuple[str, int]:
        """The primary's host and port; raises redis.ConnectionError where no Sentinel names one."""
        found: tuple[str, int] = self._sentinel.discover_master(self.service_name)  # type: ignore[no-untyped-call] # as above
        return found


class _AsyncPrimary:
    """As `_Primary`, for asyncio."""

    is_master, check_connection = True, False

    def __init__(self, address: Sentinels) -> None:
        self.service_name = address.service
        self._sentinel = AsyncSentinel(address.hosts, sentinel_kwargs=_lookup(address))  # type: ignore[no-untyped-call] # as above

    async def get_master_address(self) -> tuple[str, int]:
        """As in `_Primary`."""
        found: tuple[str, int] = await self._sentinel.discover_master(self.service_name)
        return found


def _lookup(address: Sentinels) -> dict[str, Any]:
    timeouts = {"socket_timeout": LOOKUP_TIMEOUT_S, "socket_connect_timeout": LOOKUP_TIMEOUT_S}
    return {**timeouts, "protocol": 2, "password": address.sentinel_password or None}
