"""Debian's PgBouncer in transaction mode, before a PostgreSQL of a test."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from deploy import ports
from shared.commands.catalogue import migrate
from shared.postgres import pools
from shared.settings import InvalidSettings, Settings
from tests.support.prerequisites import need
from tests.support.waiting import eventually

INSTALL = "apt-get install pgbouncer"
SERVER_CONNECTIONS = 8
_CONFIG = """
[databases]
* = host={host} port={port} user={user} password={password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
admin_users = pgbouncer
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 1000
query_wait_timeout = 20
"""


class PgBouncer:
    """A running pooler; `url` is the address behind it of a database."""

    def __init__(self, port: int, database_url: str, command: list[str], log: Path) -> None:
        self.port, self._command, self._log = port, command, log
        self._user = conninfo_to_dict(database_url)["user"]
        self.start()

    def start(self) -> None:
        """Start it."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill it; its clients' connections break."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)

    def url(self, database: str) -> str:
        """The address of a database by way of the pooler."""
        return f"postgresql://{self._user}@127.0.0.1:{self.port}/{database}"

    def reconnect(self) -> None:
        """Have it close its server connections as they become free."""
        with psycopg.connect(f"postgresql://pgbouncer@127.0.0.1:{self.port}/pgbouncer", autocommit=True) as console:
            console.execute("RECONNECT", prepare=False)

    def answers(self, database: str) -> bool:
        """Whether a query comes through."""
        try:
            with psycopg.connect(self.url(database), connect_timeout=2) as conn:
                conn.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def found() -> str | None:
    """Where the program is, if it is installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pgbouncer(database_url: str, folder: Path, size: int = SERVER_CONNECTIONS) -> Iterator[PgBouncer]:
    """Start it before the server of a database; stop it after the block."""
    program = found()
    need("pgbouncer", program, INSTALL)
    known, listen = conninfo_to_dict(database_url), ports.free_port()
    config = folder / "pgbouncer.ini"
    names = ("host", "port", "user", "password")
    config.write_text(_CONFIG.format(listen=listen, size=size, **{name: known[name] for name in names}))
    # It refuses to run as root.
    unshare = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--") if os.geteuid() == 0 else ()
    pooler = PgBouncer(listen, database_url, [*unshare, str(program), str(config)], folder / "pgbouncer.log")
    try:
        eventually(lambda: pooler.answers(str(known["dbname"])), "PgBouncer answers")
        yield pooler
    finally:
        pooler.stop()


def migrated(settings: Settings, pooler: PgBouncer) -> None:
    """Migrate the database behind a pooler, and wait until the pooler's connections have the role's time limits."""
    done = CliRunner().invoke(migrate, obj=settings)
    assert done.exit_code == 0, done.output
    pooler.reconnect()
    eventually(lambda: _are_in_force(settings), "the limits are in force")


def _are_in_force(settings: Settings) -> bool:
    try:
        pools.check_pooler(settings)
    except InvalidSettings:
        return False
    return True
