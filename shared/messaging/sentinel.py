"""The primary of a Redis behind Sentinel, looked up anew for each connection.

redis-py's own pools for Sentinel do not wait for a free connection. Its connections are used here, in pools that do:
one that reads READONLY disconnects, and its next use looks the primary up again.
"""

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncManagedConnection
from redis.asyncio.sentinel import SentinelManagedSSLConnection as AsyncManagedSSLConnection
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

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
        connection_class=SentinelManagedConnection if address.hosts.tls is None else SentinelManagedSSLConnection,
        timeout=wait_s,
        connection_pool=_Primary(address),
        **_login(address),
        **options,
    )


def async_pool(address: Sentinels, wait_s: float, options: dict[str, Any]) -> redis.asyncio.BlockingConnectionPool:
    """As `pool`, for asyncio."""
    return redis.asyncio.BlockingConnectionPool(
        connection_class=AsyncManagedConnection if address.hosts.tls is None else AsyncManagedSSLConnection,
        timeout=wait_s,
        connection_pool=_AsyncPrimary(address),
        **_login(address),
        **options,
    )


class _Primary:
    """What a connection of redis-py asks for its address. Connections to Sentinels last for one look-up."""

    is_master, check_connection = True, False

    def __init__(self, address: Sentinels) -> None:
        self.service_name, self._hosts, self._options = address.service, address.hosts.pairs, _lookup(address)

    def get_master_address(self) -> tuple[str, int]:
        """The primary's host and port; raises redis.ConnectionError where no Sentinel names one."""
        sentinel = Sentinel(self._hosts, sentinel_kwargs=self._options)  # type: ignore[no-untyped-call] # redis-py has no types here
        try:
            found: tuple[str, int] = sentinel.discover_master(self.service_name)  # type: ignore[no-untyped-call] # as above
            self._hosts = _answering_first(sentinel)
            return found
        finally:
            for client in sentinel.sentinels:
                client.close()


class _AsyncPrimary:
    """As `_Primary`, for asyncio."""

    is_master, check_connection = True, False

    def __init__(self, address: Sentinels) -> None:
        self.service_name, self._hosts, self._options = address.service, address.hosts.pairs, _lookup(address)

    async def get_master_address(self) -> tuple[str, int]:
        """As in `_Primary`."""
        sentinel = AsyncSentinel(self._hosts, sentinel_kwargs=self._options)  # type: ignore[no-untyped-call] # as above
        try:
            found: tuple[str, int] = await sentinel.discover_master(self.service_name)
            self._hosts = _answering_first(sentinel)
            return found
        finally:
            for client in sentinel.sentinels:
                await client.aclose()


def _answering_first(sentinel: Sentinel | AsyncSentinel) -> list[tuple[str, int]]:
    """The hosts in the order that redis-py has put them into: the one that answered comes first."""
    options = [client.connection_pool.connection_kwargs for client in sentinel.sentinels]
    return [(known["host"], known["port"]) for known in options]


def _login(address: Sentinels) -> dict[str, Any]:
    return {"db": address.database, **address.hosts.login(), **(address.hosts.tls or {})}


def _lookup(address: Sentinels) -> dict[str, Any]:
    timeouts = {"socket_timeout": LOOKUP_TIMEOUT_S, "socket_connect_timeout": LOOKUP_TIMEOUT_S}
    # Without retries, which redis-py makes by default.
    options = {**timeouts, "protocol": 2, "retry": None, "password": address.sentinel_password or None}
    return options | address.hosts.client_tls()
