"""The stack's own choices: ports and passwords, kept between starts in `native.json`."""

import secrets
from collections.abc import Set as AbstractSet
from pathlib import Path

import msgspec

from deploy import ports
from deploy.home import STATE_FILE, write_private
from deploy.offer_keys import new_offer_key, rotated
from deploy.ports import free_port

SUPERUSER = "postgres"
# Redis' user of the engine. The default user, with all rights, is the operator's.
REDIS_USER = "pricing"


def _password() -> str:
    return secrets.token_urlsafe(24)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The stack's own ports and passwords, and its programs.

    Attributes:
        postgres_password: Of the role `pricing`, which the engine uses.
        redis_password: Of the default user, which the engine does not use.
        offer_keys: The keys of offers, the newest first.
    """

    postgres_port: int = msgspec.field(default_factory=free_port)
    postgres_password: str = msgspec.field(default_factory=_password)
    postgres_superuser_password: str = msgspec.field(default_factory=_password)
    redis_port: int = msgspec.field(default_factory=free_port)
    redis_password: str = msgspec.field(default_factory=_password)
    redis_engine_password: str = msgspec.field(default_factory=_password)
    offer_keys: str = msgspec.field(default_factory=new_offer_key)
    supervisor_port: int = msgspec.field(default_factory=free_port)
    supervisor_password: str = msgspec.field(default_factory=_password)
    programs: tuple[str, ...] = ()

    @property
    def database_url(self) -> str:
        """The address of the stack's own PostgreSQL, password included."""
        return f"postgresql://pricing:{self.postgres_password}@127.0.0.1:{self.postgres_port}/pricing"

    def redis_url(self, database: int) -> str:
        """The address of one numbered database of the stack's own Redis, password included."""
        return f"redis://{REDIS_USER}:{self.redis_engine_password}@127.0.0.1:{self.redis_port}/{database}"

    @property
    def superuser_url(self) -> str:
        """The address of the stack's own PostgreSQL for its superuser, password included."""
        password = self.postgres_superuser_password
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.postgres_port}/pricing"

    def redis_admin_url(self, database: int) -> str:
        """As `redis_url`, for the default user, who may do everything."""
        return f"redis://:{self.redis_password}@127.0.0.1:{self.redis_port}/{database}"


def load(home: Path) -> State:
    """The stored state, or a new one, which is not written yet."""
    try:
        return msgspec.json.decode((home / STATE_FILE).read_bytes(), type=State)
    except FileNotFoundError:
        return State()


def save(home: Path, state: State) -> None:
    """Write the state, with mode 0600."""
    write_private(home / STATE_FILE, msgspec.json.format(msgspec.json.encode(state)).decode())


def rotate_offer_keys(home: Path) -> bool:
    """Put a new key of offers before the others, for the next start; returns whether there is a stack."""
    if not (home / STATE_FILE).exists():
        return False
    kept = load(home)
    save(home, msgspec.structs.replace(kept, offer_keys=rotated(kept.offer_keys)))
    return True


def with_free_ports(
    state: State, living: AbstractSet[str], supervisor_pid: int | None, reserved: AbstractSet[int] = frozenset()
) -> State:
    """The same state, with a new port for every server that does not run and whose port is taken or reserved."""
    lives = {
        "postgres": "postgres" in living,
        "redis": "redis" in living,
        "supervisor": supervisor_pid is not None,
    }
    ports.avoid({state.postgres_port, state.redis_port, state.supervisor_port} | reserved)
    fields = [f"{name}_port" for name, does in lives.items() if not does]
    known = {field: getattr(state, field) for field in fields}
    taken = [field for field, port in known.items() if port in reserved or not ports.port_is_free(port)]
    return msgspec.structs.replace(state, **{field: free_port() for field in taken})
