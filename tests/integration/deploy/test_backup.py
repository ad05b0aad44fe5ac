"""Backup and restore: the backup's data is served in an epoch of its own; a restore that fails changes nothing."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import psycopg
import pytest

from deploy import backup
from deploy.compose import database as compose_database
from deploy.database import Database, DatabaseError
from deploy.native import database as native_database
from deploy.native import environment, state
from shared.postgres import pools
from shared.settings import Settings
from tests.support.deploying import deploying
from tests.support.native_tools import tools

PATH = f"{tools()}:/usr/bin:/bin"


def name_of(settings: Settings) -> str:
    return settings.database_url.rpartition("/")[2]


@pytest.fixture
def own(migrated_database: Callable[[], Settings]) -> Settings:
    """A migrated database of the test's own, with one row."""
    settings = migrated_database()
    write(settings, "before")
    return settings


@pytest.fixture
def database(own: Settings) -> Database:
    """The way to it that `just` takes in a native stack."""
    return replace(native_database.find(own.home_dir, environment.load(own.home_dir)), name=name_of(own))


def write(settings: Settings, value: str) -> None:
    with pools.connect(settings, "tests") as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS marks (mark text)")
        conn.execute("INSERT INTO marks VALUES (%s)", [value])


def marks(settings: Settings) -> list[str]:
    with pools.connect(settings, "tests") as conn:
        return [row["mark"] for row in conn.execute("SELECT mark FROM marks ORDER BY mark")]


def epoch(settings: Settings) -> int:
    with pools.connect(settings, "tests") as conn:
        [row] = conn.execute("SELECT current_epoch() AS epoch")
    return int(row["epoch"])


def databases(settings: Settings, name: str) -> list[str]:
    """The databases of the server whose name begins so."""
    superuser = state.load(settings.home_dir).superuser_url
    with psycopg.connect(superuser) as server:
        found = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [name])
        return sorted(row[0] for row in found)


def silent(_: str) -> None:
    pass


def test_a_restore_under_open_connections_brings_the_data_back_in_another_epoch(
    own: Settings, database: Database, tmp_path: Path
) -> None:
    file, before = tmp_path / "backup.dump", epoch(own)
    assert backup.back_up(database, file) == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write(own, "later")
    with pools.pool(own, "tests", size=2) as pool:
        pool.wait()
        with pool.connection() as conn, conn.transaction():
            conn.execute("SELECT mark FROM marks FOR UPDATE")  # an open transaction does not stop a restore
            with pytest.raises(psycopg.OperationalError):
                backup.restore(database, file, silent)
                conn.execute("SELECT 1")
        with pool.connection() as conn:
            assert [row["mark"] for row in conn.execute("SELECT mark FROM marks")] == ["before"]
            [row] = conn.execute(
                "SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = %s", [database.name]
            )
            assert row["owner"] == "pricing"
    assert epoch(own) not in (before, 0)
    assert databases(own, database.name) == [database.name]


def test_a_file_that_is_no_backup_of_this_engine_or_release_changes_nothing(
    own: Settings, database: Database, new_database: Callable[[], Settings], tmp_path: Path
) -> None:
    before, foreign, newer, text = epoch(own), tmp_path / "foreign", tmp_path / "newer", tmp_path / "text"
    text.write_text("no backup")
    backup.back_up(replace(database, name=name_of(new_database())), foreign)
    with pools.connect(own, "tests") as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    backup.back_up(database, newer)
    for file, reason in ((text, "pg_restore failed"), (foreign, "is no backup"), (newer, "schema 9999: upgrade")):
        with pytest.raises(click.ClickException, match=reason):
            backup.restore(database, file, silent)
        assert (epoch(own), marks(own)) == (before, ["before"])
        assert databases(own, database.name) == [database.name]


def test_a_backup_that_fails_leaves_the_older_file(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup.dump"
    file.write_text("older")
    with pytest.raises(DatabaseError, match="does not exist"):
        backup.back_up(replace(database, name="no_such_database"), file)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_a_role_that_may_not_create_databases_is_told_so(own: Settings, tmp_path: Path) -> None:
    stranger = native_database.find(tmp_path, {"PRICING_DATABASE_URL": own.database_url, "PATH": PATH})
    file = tmp_path / "backup.dump"
    backup.back_up(stranger, file)
    with pytest.raises(DatabaseError, match="ALTER ROLE pricing CREATEDB"):
        backup.restore(stranger, file, silent)
    assert marks(own) == ["before"]


def test_a_killed_restore_leaves_the_database_and_the_next_one_clears_up(settings: Settings, tmp_path: Path) -> None:
    home, file = settings.home_dir, tmp_path / "backup.dump"
    database, before = native_database.find(home, environment.load(home)), epoch(settings)
    backup.back_up(database, file)
    with deploying("restore", str(file), cwd=tmp_path, PRICING_HOME=home, PYTHONPATH=Path.cwd()) as restoring:
        assert restoring.stdout
        assert any("migrating" in line for line in restoring.stdout)
        restoring.kill()
        restoring.wait()
    assert "pricing_restored" in databases(settings, "pricing")
    assert epoch(settings) == before
    (tmp_path / "text").write_text("no backup")
    with pytest.raises(DatabaseError):
        backup.restore(database, tmp_path / "text", silent)
    assert "pricing_restored" not in databases(settings, "pricing")
    assert epoch(settings) == before


def test_with_docker_the_tools_run_in_the_servers_container(
    own: Settings, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, docker = state.load(own.home_dir), tmp_path / "docker"
    # A Docker whose container of PostgreSQL is the server of these tests.
    docker.write_text(
        "#!/bin/sh\n"
        'test "$*" = "compose version" && exit 0\n'
        'test "$1 $2 $4 $5 $6" = "compose --project-directory exec -T postgres" || exit 9\n'
        f"shift 6; export PGHOST=127.0.0.1 PGPORT={known.postgres_port}\n"
        f"export PGPASSWORD={known.postgres_superuser_password}\n"
        'exec "$@"\n'
    )
    docker.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{PATH}")
    contained = replace(compose_database.find(), name=database.name, migrate=database.migrate)
    backup.back_up(contained, tmp_path / "backup.dump")
    write(own, "later")
    backup.restore(contained, tmp_path / "backup.dump", silent)
    assert marks(own) == ["before"]
