"""The address of a caller: of the connection, or what a trusted proxy says of it."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from litestar.types import HTTPScope

Address = IPv4Address | IPv6Address
UNKNOWN = "unknown"


class Callers:
    """Tells callers apart by their addresses."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        """Callers behind proxies.

        Args:
            trusted: Whose `Forwarded` and `X-Forwarded-For` count.
        """
        self._trusted = trusted

    def address(self, scope: HTTPScope) -> Address | None:
        """The caller's address; None where the connection has none.

        Of the two headers a proxy sets one and passes the other on as it came. Where they disagree, both may be a
        caller's invention, and the proxy's own address counts.
        """
        client = scope.get("client")
        peer = _parsed(client[0]) if client else None
        if peer is None or not self._trusts(peer):
            return peer
        told = {
            found
            for name, hops in ((b"x-forwarded-for", _plain_hops), (b"forwarded", _for_hops))
            if (found := self._first_stranger(hops(_joined(scope, name)))) is not None
        }
        return told.pop() if len(told) == 1 else peer

    def _first_stranger(self, hops: Sequence[str]) -> Address | None:
        """The last hop that is no trusted proxy; None where there is none, or it is no address."""
        for hop in reversed(hops):
            found = _parsed(hop)
            if found is None or not self._trusts(found):
                return found
        return None

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _joined(scope: HTTPScope, wanted: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


def _plain_hops(value: str) -> list[str]:
    return [hop.strip() for hop in value.split(",") if hop.strip()]


def _for_hops(value: str) -> list[str]:
    """The `for` of each hop, as in RFC 7239."""
    return [_for(pair.partition("=") for pair in hop.split(";")) for hop in value.split(",") if hop.strip()]


def _for(pairs: Iterable[tuple[str, str, str]]) -> str:
    return next((value.strip().strip('"') for name, _, value in pairs if name.strip().lower() == "for"), UNKNOWN)


def _parsed(text: str) -> Address | None:
    """An address, which may have a port."""
    host = text.rpartition("]")[0].lstrip("[") if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
