"""How much of what was sent a caller has not received, by the kernel's own count.

The server takes every chunk of a stream at once and keeps it until the caller reads. Only the socket tells whether the
caller does.
"""

import fcntl
import os
import socket
import struct
import termios
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Peer = tuple[str, int]
_INT = struct.Struct("i")


def plain(peer: Sequence[Any]) -> Peer:
    """A peer by its address and port; an address of IPv4 within one of IPv6 is that of IPv4."""
    return str(peer[0]).removeprefix("::ffff:"), int(peer[1])


def of_peers(peers: Iterable[Peer], port: int) -> dict[Peer, int]:
    """The file descriptors of this process's connections with these peers to a port of its own."""
    wanted, found = set(peers), dict[Peer, int]()
    for path in Path("/dev/fd").iterdir():
        if not path.is_socket():
            continue
        with suppress(OSError), _opened(int(path.name)) as connection:
            if connection.family in {socket.AF_INET, socket.AF_INET6} and connection.getsockname()[1] == port:
                peer = plain(connection.getpeername())
                if peer in wanted:
                    found[peer] = int(path.name)
    return found


def unreceived(fd: int) -> int:
    """The bytes in the kernel's queue that the peer has not acknowledged; 0 where the kernel does not tell."""
    try:
        answer = fcntl.ioctl(fd, termios.TIOCOUTQ, _INT.pack(0))
    except (OSError, ValueError):  # of a negative number
        return 0
    return int(_INT.unpack(answer)[0])


def hang_up(fd: int, peer: Peer) -> None:
    """Close the connection with a peer, if the descriptor still is its."""
    with suppress(OSError), _opened(fd) as connection:
        if plain(connection.getpeername()) == peer:
            connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def _opened(fd: int) -> Iterator[socket.socket]:
    """The socket of a descriptor, as another one that is closed after the block."""
    other = os.dup(fd)
    try:
        connection = socket.socket(fileno=other)
    except OSError:
        os.close(other)
        raise
    with connection:
        yield connection
