"""A standby of a native stack's PostgreSQL, for failovers: a base backup that follows the primary."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from deploy.native import postgres_server, state
from deploy.native.state import State
from tests.support.native_tools import tools
from tests.support.processes import Processes
from tests.support.waiting import eventually

NAME = "standby"


def both(database_url: str, port: int) -> str:
    """The address of a database on two servers of this machine."""
    address, _, path = database_url.rpartition("/")
    return f"{address},127.0.0.1:{port}/{path}"


class Server:
    """One of both servers: its folder, and how its superuser reaches it."""

    def __init__(self, home: Path, known: State) -> None:
        self.home, self.known = home, known

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.home / "postgres"

    def ask(self, query: str) -> object:
        """The value that a statement returns, if any."""
        with psycopg.connect(self.known.superuser_url, autocommit=True, connect_timeout=5) as conn:
            cursor = conn.execute(query.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def is_standby(self) -> bool:
        """Whether it answers, and takes no writes."""
        try:
            return bool(self.ask("SELECT pg_is_in_recovery()"))
        except psycopg.OperationalError:
            return False

    def promote(self) -> None:
        """Make the primary of it."""
        assert self.ask("SELECT pg_promote()"), "the standby was not promoted"

    def copy_to(self, other: "Server") -> None:
        """Make a copy for `other` that follows this server once it runs."""
        shutil.rmtree(other.data, ignore_errors=True)
        address = make_conninfo(self.known.superuser_url, application_name=NAME)
        command = [str(tools() / "pg_basebackup"), "-D", str(other.data), "-d", address, "-R", "-X", "stream"]
        subprocess.run([*command, "-c", "fast"], check=True, capture_output=True, timeout=60)

    def wait_for_standby(self, *, is_synchronous: bool = True) -> None:
        """Wait until the standby follows; a commit then waits for it, too, if it is synchronous."""
        if is_synchronous:
            self.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
            self.ask("SELECT pg_reload_conf()")
        wanted = "sync" if is_synchronous else "async"
        query = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
        eventually(lambda: self.ask(query) == wanted, f"the standby follows ({wanted})")


@contextmanager
def standby_of(servers: Path, folder: Path, port: int, *, is_synchronous: bool = True) -> Iterator[Server]:
    """A standby of the PostgreSQL of a home, below `folder`; it is stopped after the block."""
    primary = Server(servers, state.load(servers))
    standby = Server(folder, msgspec.structs.replace(primary.known, postgres_port=port))
    primary.copy_to(standby)
    with (folder / "postgres.log").open("wb") as log:
        process = subprocess.Popen(
            postgres_server.command(folder, standby.known, os.environ), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        eventually(standby.is_standby, "the standby answers")
        primary.wait_for_standby(is_synchronous=is_synchronous)
        yield standby
    finally:
        # A fast shutdown: the one of SIGTERM waits for every connection.
        process.send_signal(signal.SIGINT)
        process.wait(60)


def kill_primary(servers: Processes) -> Server:
    """Kill the primary of a home; its supervisor starts it again, as a standby that follows nobody."""
    killed = Server(servers.home, state.load(servers.home))
    (killed.data / "standby.signal").touch()
    for process in servers.family("postgres"):
        process.kill()
    return killed
