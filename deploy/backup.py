"""Backup and restore of the engine's database, with the server's own tools, also under the running engine."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import click

from deploy.database import Database, DatabaseError, ended

SERVER_DATABASE = "postgres"
NEW, OLD = "_restored", "_replaced"
LOCK_WAIT = "60s"
TERMINATE_EVERY_S = 0.05
MIGRATIONS = Path(__file__).resolve().parents[1] / "shared/postgres/migrations/versions"

Progress = Callable[[str], None]


def back_up(database: Database, file: Path) -> int:
    """Write the database to a file in pg_dump's custom format, readable by its owner only; returns its bytes.

    The file has its name when it is complete: an older file of this name lasts until then.

    Raises:
        DatabaseError: the server or pg_dump refused.
        ClickException: the file cannot be written.
    """
    new = file.with_name(f"{file.name}.new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            database.run("pg_dump", database.name, "-Fc", f"--lock-wait-timeout={LOCK_WAIT}", stdout=target)
            target.flush()
            os.fsync(target.fileno())
        new.replace(file)
        return file.stat().st_size
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        new.unlink(missing_ok=True)


def restore(database: Database, file: Path, progress: Progress) -> None:
    """Replace the database by a backup's, which is an epoch of its own.

    The backup is restored into a database beside the one in use, migrated there, and takes its name in one
    transaction. Until then, and where this process is killed, the engine uses the database of before.

    Raises:
        ClickException: the file is no backup of this engine, or the server refused; nothing has changed.
    """
    new, old = database.name + NEW, database.name + OLD
    try:
        _create(database, new, old)
        progress(f"restoring {file} into the new database {new}")
        with file.open("rb") as source:
            options = ("--no-owner", "--no-privileges", "--exit-on-error", f"--role={database.owner}")
            database.run("pg_restore", new, *options, stdin=source)
        _check_release(database, new, file)
        progress("migrating it")
        database.migrate(new)
        progress(f"replacing the database {database.name}")
        _replace(database, new, old)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}.") from error
    finally:
        # After the replacement it is the old one that is left.
        _drop(database, new, old)


def _create(database: Database, new: str, old: str) -> None:
    _drop(database, new, old)
    names = {"name": database.name, "new": new, "owner": database.owner}
    if not database.sql(SERVER_DATABASE, "SELECT 1 FROM pg_database WHERE datname = :'name'", **names):
        raise DatabaseError(f"There is no database {database.name} on the server: start the engine once.")
    if database.sql(SERVER_DATABASE, _MAY_CREATE).strip() != "t":
        raise DatabaseError(
            f"The role {database.owner} may not create databases: let the server's superuser run "
            f"`ALTER ROLE {database.owner} CREATEDB`, then restore again. Nothing has changed."
        )
    database.sql(SERVER_DATABASE, _CREATE, **names)


def _check_release(database: Database, new: str, file: Path) -> None:
    known = {path.name.partition("_")[0] for path in MIGRATIONS.glob("[0-9]*.py")}
    if not database.sql(new, "SELECT to_regclass('alembic_version')").strip():
        raise click.ClickException(f"{file} is no backup of the pricing engine. Nothing has changed.")
    release = database.sql(new, "SELECT version_num FROM alembic_version").strip()
    if release not in known:
        raise click.ClickException(
            f"{file} is of a newer release, with schema {release}: upgrade the engine first. Nothing has changed."
        )


def _replace(database: Database, new: str, old: str) -> None:
    """Rename both databases in one transaction.

    A rename waits for up to 5 s for the end of the database's connections, and lets no new one in; meanwhile they are
    terminated here. The engine's processes connect again at once.
    """
    names = {"name": database.name, "new": new, "old": old}
    with database.start_sql(SERVER_DATABASE, _RENAME, **names) as renaming:
        while renaming.poll() is None:
            database.sql(SERVER_DATABASE, _TERMINATE, **names)
            time.sleep(TERMINATE_EVERY_S)
        ended(renaming, "The renaming of the databases")


def _drop(database: Database, new: str, old: str) -> None:
    database.sql(SERVER_DATABASE, _DROP, new=new, old=old)


_MAY_CREATE = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"

_CREATE = """
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L',
    :'new', :'owner', pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_database WHERE datname = :'name'
\\gexec
"""

_RENAME = """
BEGIN;
SET LOCAL lock_timeout = '10s';
ALTER DATABASE :"name" RENAME TO :"old";
ALTER DATABASE :"new" RENAME TO :"name";
COMMIT;
"""

_TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN (:'name', :'new')"

_DROP = """
DROP DATABASE IF EXISTS :"new" WITH (FORCE);
DROP DATABASE IF EXISTS :"old" WITH (FORCE);
"""
