"""Endpoints of webhooks: no address that is not public is called, under whatever name or spelling."""

import ipaddress
import socket
import threading

import pytest

from shared.changes import endpoints
from shared.changes.endpoints import Unusable, target

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
    "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "::127.0.0.1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::808:808", "2002:808:808::1"]


def resolving(*addresses: str) -> endpoints.Resolve:
    return lambda host, port: list(addresses)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(Unusable, match="not public"):
        target("https://shop.example.com/", (), resolving(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_called_under_its_name(address: str) -> None:
    found = target("https://shop.example.com/prices?to=index", (), resolving(address))
    assert (found.address, found.host, found.port, found.path) == (address, "shop.example.com", 443, "/prices?to=index")
    host = f"[{address}]" if ":" in address else address
    assert found.url == f"https://{host}:443/prices?to=index"
    assert found.host_header == "shop.example.com"


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(Unusable, match="not public"):
        target("https://shop.example.com/", (), resolving("8.8.8.8", "10.0.0.1"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0"]
)
def test_every_spelling_of_loopback_is_refused_by_the_systems_resolver(host: str) -> None:
    with pytest.raises(Unusable):
        target(f"https://{host}/", ())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://shop.example.com/", "file:///etc/passwd", "https://", "https:///prices", "shop.example.com", "",
        "https://user@shop.example.com/", "https://user:word@shop.example.com/", "https://shop.example.com/#part",
        "https://shop.example.com:0/", "https://shop.example.com:99999/", "https://shop.example.com:https/",
        "https://shop.example.com/a b", "https://shop.example.com/\r\nX: y", "https://shop\\.example.com/",
        "https://[::1%25lo]/", "https://exämple.com/", "https://[", f"https://shop.example.com/{'x' * 2_000}",
    ],
)  # fmt: skip
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(Unusable):
        target(url, (), resolving("8.8.8.8"))


def test_plain_http_is_for_networks_that_the_operator_names() -> None:
    with pytest.raises(Unusable, match="https"):
        target("http://shop.example.com/", (), resolving("8.8.8.8"))
    ours = [ipaddress.ip_network("10.0.0.0/8")]
    assert target("http://index.internal:8080/", ours, resolving("10.1.2.3")).address == "10.1.2.3"
    assert target("http://index.internal:8080/", ours, resolving("::ffff:10.1.2.3")).port == 8080
    with pytest.raises(Unusable, match="not public"):
        target("https://index.internal/", ours, resolving("10.1.2.3", "192.168.0.1"))


def test_a_name_without_an_address_and_one_that_fails_are_refused() -> None:
    def failing(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such name")

    for resolve in (failing, resolving()):
        with pytest.raises(Unusable, match=r"resolved|no address"):
            target("https://nowhere.example/", (), resolve)


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "RESOLVED_IN_S", 0.05)
    let_go = threading.Event()

    def hanging(host: str, port: int) -> list[str]:
        let_go.wait()
        return ["8.8.8.8"]

    try:
        with pytest.raises(Unusable, match="within"):
            target("https://slow.example/", (), hanging)
    finally:
        let_go.set()
