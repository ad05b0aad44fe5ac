"""Endpoints of webhooks: which addresses may be called. A name is resolved once, and the address is pinned."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from typing import NamedTuple
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
Resolve = Callable[[str, int], list[str]]

LONGEST_URL = 2_000
RESOLVED_IN_S = 5.0
PORTS = {"http": 80, "https": 443}
# Addresses of IPv6 that lead to one of IPv4: NAT64.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Unusable(Exception):
    """An endpoint that cannot be called; the text says why."""


class Target(NamedTuple):
    """Where to connect, and what to ask for there.

    Attributes:
        address: The one address that is called.
        host: The name, for the certificate and the header `Host`.
        path: With the query string.
    """

    scheme: str
    address: str
    port: int
    host: str
    path: str

    @property
    def url(self) -> str:
        """The URL with the pinned address."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def host_header(self) -> str:
        """The header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if PORTS[self.scheme] == self.port else f"{host}:{self.port}"


def system_resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, by the system's resolver, which bounds its own wait by its configuration."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def target(url: str, allowed: Networks, resolve: Resolve = system_resolve) -> Target:
    """Check an endpoint's URL, and choose the address to call.

    Args:
        url: `https://…`; `http://…` only where all its addresses are in `allowed`.
        allowed: Networks that may be called although they are not public.
        resolve: Returns the addresses of a name.

    Raises:
        Unusable: it is no such URL, its name has no address, or one that must not be called.
    """
    scheme, host, port, path = _parts(url)
    addresses = [_address(text) for text in _resolved(resolve, host, port)]
    if not addresses:
        raise Unusable(f"the name {host} has no address")
    are_ours = all(_is_in(address, allowed) for address in addresses)
    for address in addresses:
        if not are_ours and not _is_in(address, allowed) and not is_public(address):
            raise Unusable(f"{host} has an address that is not public; PRICING_WEBHOOK_NETWORKS can allow it")
    if scheme == "http" and not are_ours:
        raise Unusable("it must begin with https://; http:// is for addresses in PRICING_WEBHOOK_NETWORKS")
    return Target(scheme, str(addresses[0]), port, host, path)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and leads to no other one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _parts(url: str) -> tuple[str, str, int, str]:
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Unusable(f"it must be a URL of at most {LONGEST_URL} printable ASCII characters")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise Unusable(f"it is no URL: {error}") from None
    if scheme not in PORTS or not host:
        raise Unusable("it must be a URL such as https://shop.example.com/prices")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Unusable("it must have neither a user, a password nor a fragment")
    if port == 0 or "%" in host:
        raise Unusable("its host or port cannot be used")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return scheme, host, port or PORTS[scheme], path


def _resolved(resolve: Resolve, host: str, port: int) -> list[str]:
    # A resolver that does not answer keeps its thread. The call goes on without it.
    threads = ThreadPoolExecutor(1, "resolver")
    try:
        return threads.submit(resolve, host, port).result(RESOLVED_IN_S)
    except Late:
        raise Unusable(f"the name {host} was not resolved within {RESOLVED_IN_S:g} s") from None
    except (OSError, UnicodeError):
        raise Unusable(f"the name {host} cannot be resolved") from None
    finally:
        threads.shutdown(wait=False)


def _address(text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Unusable("its name has an address of another kind") from None


def _is_in(address: Address, allowed: Networks) -> bool:
    found = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((found or address) in network for network in allowed)
