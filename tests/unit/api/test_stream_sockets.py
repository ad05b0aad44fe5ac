"""The kernel's count of what a peer has not received, found by the peer's address."""

import socket
from collections.abc import Iterator

import pytest

from api.changes import sockets

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection to a port of this process: its own end, and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = socket.create_connection(listening.getsockname())
        own, _ = listening.accept()
    with own, peer:
        yield own, peer


def test_a_connection_is_found_by_its_peer_and_no_other_one(pair: Pair) -> None:
    own, peer = pair
    port, address = own.getsockname()[1], peer.getsockname()
    assert sockets.of_peers([address, ("127.0.0.1", 1)], port) == {address: own.fileno()}
    assert sockets.of_peers([address], port + 1) == {}


def test_what_the_peer_does_not_read_is_counted(pair: Pair) -> None:
    own, _ = pair
    assert sockets.unreceived(own.fileno()) == 0
    own.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            own.send(b"x" * 100_000)
    assert sockets.unreceived(own.fileno()) > 0
    assert sockets.unreceived(-1) == 0


def test_only_the_connection_with_this_peer_is_closed(pair: Pair) -> None:
    own, peer = pair
    sockets.hang_up(own.fileno(), ("127.0.0.1", 1))
    own.sendall(b"here")
    assert peer.recv(10) == b"here"
    sockets.hang_up(own.fileno(), sockets.plain(peer.getsockname()))
    assert peer.recv(10) == b""


def test_an_address_of_ipv4_has_one_form() -> None:
    assert sockets.plain(("::ffff:10.0.0.1", 5, 0, 0)) == sockets.plain(("10.0.0.1", 5)) == ("10.0.0.1", 5)
