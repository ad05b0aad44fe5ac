"""The engine's database, and the way to the tools of its server: pg_dump, pg_restore, psql."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

import click

SHOWN_LINES = 5


class DatabaseError(click.ClickException):
    """The reason why a tool of PostgreSQL failed, in a sentence for its user; exit code 1."""


@dataclass(frozen=True)
class Database:
    """The database that the engine uses.

    Attributes:
        name: Its name.
        owner: The role that owns it, and everything in it.
        server: libpq's key=value pairs for a role that may create and rename databases, without password and database.
        tool: The beginning of a tool's command line.
        env: The environment of the tools: a password on a command line could be read by every user.
        migrate: Migrates a database of the same server, by its name; raises ClickException.
    """

    name: str
    owner: str
    server: str
    tool: Callable[[str], list[str]]
    env: Mapping[str, str]
    migrate: Callable[[str], None]

    def run(
        self, tool: str, database: str, *arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> str:
        """Run a tool on a database of the server, to its end; returns what it printed.

        Raises:
            DatabaseError: it failed; the text has its last lines.
        """
        with self._started(tool, database, arguments, stdin or subprocess.DEVNULL, stdout) as process:
            return ended(process, tool)

    def sql(self, database: str, script: str, **names: str) -> str:
        """Run a script of psql on a database of the server; it stops at the first error. Returns the rows, as `run`.

        Args:
            database: The database's name.
            script: SQL, each statement in a transaction of its own; `:"x"` and `:'x'` are the quoted name `x`.
            names: The values of these variables.
        """
        with self.start_sql(database, script, **names) as process:
            return ended(process, "psql")

    def start_sql(self, database: str, script: str, **names: str) -> subprocess.Popen[bytes]:
        """As `sql`, without the wait for the end."""
        variables = [part for name, value in names.items() for part in ("-v", f"{name}={value}")]
        options = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *variables, "-f", "-")
        process = self._started("psql", database, options, subprocess.PIPE, None)
        assert process.stdin  # noqa: S101 # a pipe
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(script.encode())
        process.stdin = None
        return process

    def _started(
        self, tool: str, database: str, arguments: Sequence[str], stdin: IO[bytes] | int, stdout: IO[bytes] | None
    ) -> subprocess.Popen[bytes]:
        address = f"{self.server} dbname={_quoted(database)}".strip()
        return subprocess.Popen(  # noqa: S603 # our own arguments, no shell
            [*self.tool(tool), "-d", address, *arguments],
            env=dict(self.env),
            stdin=stdin,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def ended(process: subprocess.Popen[bytes], tool: str) -> str:
    """Wait for a tool's end; returns what it printed, raises DatabaseError where it failed."""
    printed, errors = process.communicate()
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()[-SHOWN_LINES:]
        raise DatabaseError(f"{tool} failed: {' '.join(line.strip() for line in lines) or process.returncode}")
    return (printed or b"").decode()


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
