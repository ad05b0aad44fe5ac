"""Ports: free ones, reserved ones, and the program that listens on one."""

import errno
import secrets
import socket
from collections.abc import Iterable

import psutil

CHOICE = range(20_000, 30_000)  # below the range from which systems take the ports of outgoing connections


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now; `0.0.0.0` means every IPv4 address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        return True


def free_port() -> int:
    """A random free port of loopback, and never the same port twice."""
    while (port := secrets.choice(CHOICE)) in _given or not port_is_free(port):
        pass
    _given.add(port)
    return port


def avoid(taken: Iterable[int]) -> None:
    """Exclude these ports from `free_port`."""
    _given.update(taken)


def listener_on(port: int) -> str:
    """The program that listens on a port, as far as this user may see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "another program"


# No program listens yet on a port that was returned a moment ago.
_given: set[int] = set()
