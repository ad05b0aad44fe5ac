"""What the stack chose for itself: ports and passwords, kept between starts in `native.json`."""

import errno
import secrets
import socket
from collections.abc import Set as AbstractSet
from pathlib import Path

import msgspec

from deploy.native.home import STATE_FILE, write_private

_PORTS = range(20_000, 30_000)  # below the range from which systems take the ports of outgoing connections


def _password() -> str:
    return secrets.token_urlsafe(24)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now; `0.0.0.0` asks for every IPv4 address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        return True


def free_port() -> int:
    """A random port of loopback on which nobody listens, and never the same one twice."""
    while (port := secrets.choice(_PORTS)) in _given or not port_is_free(port):
        pass
    _given.add(port)
    return port


# Nobody listens yet on a port that was given away a moment ago.
_given: set[int] = set()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The stack's own ports and passwords, and the programs that it is made of."""

    postgres_port: int = msgspec.field(default_factory=free_port)
    postgres_password: str = msgspec.field(default_factory=_password)
    redis_port: int = msgspec.field(default_factory=free_port)
    redis_password: str = msgspec.field(default_factory=_password)
    supervisor_port: int = msgspec.field(default_factory=free_port)
    supervisor_password: str = msgspec.field(default_factory=_password)
    programs: tuple[str, ...] = ()

    @property
    def database_url(self) -> str:
        """The address of our own PostgreSQL, password included."""
        return f"postgresql://pricing:{self.postgres_password}@127.0.0.1:{self.postgres_port}/pricing"

    def redis_url(self, database: int) -> str:
        """The address of one numbered database of our own Redis, password included."""
        return f"redis://:{self.redis_password}@127.0.0.1:{self.redis_port}/{database}"


def load(home: Path) -> State:
    """The kept state, or a new one, which is not written yet."""
    try:
        return msgspec.json.decode((home / STATE_FILE).read_bytes(), type=State)
    except FileNotFoundError:
        return State()


def save(home: Path, state: State) -> None:
    """Keep the state, with mode 0600."""
    write_private(home / STATE_FILE, msgspec.json.format(msgspec.json.encode(state)).decode())


def with_free_ports(
    state: State, living: AbstractSet[str], supervisor_pid: int | None, reserved: AbstractSet[int] = frozenset()
) -> State:
    """The same state, with a new port for every server that does not run and whose port is taken or reserved."""
    lives = {
        "postgres": "postgres" in living,
        "redis": "redis" in living,
        "supervisor": supervisor_pid is not None,
    }
    _given.update((state.postgres_port, state.redis_port, state.supervisor_port), reserved)
    fields = [f"{name}_port" for name, does in lives.items() if not does]
    ports = {field: getattr(state, field) for field in fields}
    taken = [field for field, port in ports.items() if port in reserved or not port_is_free(port)]
    return msgspec.structs.replace(state, **{field: free_port() for field in taken})
