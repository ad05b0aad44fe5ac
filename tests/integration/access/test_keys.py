"""API keys: made once, kept to its owner, known to the database by its hash only."""

import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from shared.access import keys
from shared.access.key_metrics import FormerAdminKeys
from shared.errors import InvalidInput, NotFound
from shared.postgres import migrations, pools
from shared.postgres.pools import Conn, Pool
from shared.secrets import ADMIN_KEY_FILE
from shared.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def is_live(conn: Conn, key: str) -> bool:
    query = "SELECT 1 FROM api_keys WHERE key_hash = %s AND revoked_at IS NULL"
    return conn.execute(query, [keys.digest_of(key)]).fetchone() is not None


def ensured(conn: Conn, home: Path) -> str:
    keys.ensure_admin_key(conn, home)
    return (home / ADMIN_KEY_FILE).read_text().strip()


def test_the_key_is_made_once_and_kept(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        key = ensured(conn, home)
        assert ensured(conn, home) == key
        assert is_live(conn, key)
    assert len(key) >= 43


def test_only_its_owner_may_read_it_whatever_the_umask(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        ensured(conn, home)
    assert stat.S_IMODE((home / ADMIN_KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_another_home_has_another_key_and_both_count(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        one, other = ensured(conn, home), ensured(conn, home / "other")
        assert one != other
        assert is_live(conn, one)
        assert is_live(conn, other)


def test_a_key_from_the_file_is_known_to_a_new_database(pool: Pool, home: Path) -> None:
    home.mkdir()
    (home / ADMIN_KEY_FILE).write_text("brought-along-by-the-operator-of-the-shop\n")
    with pool.connection() as conn:
        assert ensured(conn, home) == "brought-along-by-the-operator-of-the-shop"
        assert is_live(conn, "brought-along-by-the-operator-of-the-shop")


@pytest.mark.parametrize("key", ["a", "short-and-brought-along", "a" * 40])
def test_a_weak_key_in_the_file_is_refused_by_name(pool: Pool, home: Path, key: str) -> None:
    home.mkdir()
    (home / ADMIN_KEY_FILE).write_text(f"{key}\n")
    with pool.connection() as conn, pytest.raises(InvalidInput, match=r"admin\.key: must be random") as refused:
        ensured(conn, home)
    assert key not in str(refused.value).partition(": ")[2].split()


def test_a_new_admin_key_is_added_and_the_former_one_is_named_until_it_is_revoked(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        conn.execute("TRUNCATE api_keys CASCADE")
        former, given = ensured(conn, home), "another-one-of-the-operator-in-the-environment"
        assert keys.former_admin_keys(conn) == []
    with pool.connection() as conn:
        keys.ensure_admin_key(conn, home, given)
        keys.create(conn, "shop", ["admin"], "just")
        assert is_live(conn, former)
        [key_id] = keys.former_admin_keys(conn)
        assert keys.view(conn, key_id).name == "admin"
    with pool.connection() as conn:
        ensured(conn, home)
        assert keys.former_admin_keys(conn) != [key_id]
        keys.ensure_admin_key(conn, home, given)
    with pool.connection() as conn:
        assert keys.former_admin_keys(conn) == [key_id]
        keys.revoke(conn, key_id)
        assert keys.former_admin_keys(conn) == []
        assert is_live(conn, given)


def test_the_metric_names_the_former_admin_keys(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        conn.execute("TRUNCATE api_keys CASCADE")
        ensured(conn, home)
    with pool.connection() as conn:
        ensured(conn, home / "other")
        found = keys.former_admin_keys(conn)
    [family] = FormerAdminKeys(pool).collect()
    assert [(sample.labels["key_id"], sample.value) for sample in family.samples] == [(str(found[0]), 1)]


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "a\nb", "\x1b[2J", "x" * 101])
def test_a_name_is_short_and_printable(pool: Pool, name: str) -> None:
    with pool.connection() as conn, pytest.raises(InvalidInput, match="printable"):
        keys.create(conn, name, ["operate"], "just")


def test_a_new_key_is_long_random_and_recognisable(pool: Pool) -> None:
    with pool.connection() as conn:
        made = {keys.create(conn, "shop", ["operate"], "just")[1] for _ in range(20)}
    assert len(made) == 20
    assert all(key.startswith("pricing_") and len(key) >= 51 for key in made)


def test_a_revoked_key_is_refused_and_stays_so_after_a_restart(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        key = ensured(conn, home)
        row = conn.execute("SELECT id FROM api_keys WHERE key_hash = %s", [keys.digest_of(key)]).fetchone()
        assert row
        keys.revoke(conn, row["id"])
        assert not is_live(conn, key)
        ensured(conn, home)
        assert not is_live(conn, key)


def test_the_admin_key_may_do_everything(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        key = ensured(conn, home)
        row = conn.execute("SELECT scopes, created_by FROM api_keys WHERE key_hash = %s", [keys.digest_of(key)])
        assert row.fetchone() == {"scopes": ["admin"], "created_by": "start"}


def test_a_key_of_the_release_before_may_do_everything_still(new_database: Callable[[], Settings]) -> None:
    settings = new_database()
    migrations.migrate(settings, "0006")
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("INSERT INTO api_keys (key_hash, name) VALUES ('x', 'admin')")
    migrations.migrate(settings)
    with pools.connect(settings, "tests") as after:
        # As a process of the release before inserts one during the upgrade.
        after.execute("INSERT INTO api_keys (key_hash, name) VALUES ('y', 'admin')")
        rows = after.execute("SELECT scopes, expires_at, revoked_at FROM api_keys").fetchall()
        assert rows == [{"scopes": ["admin"], "expires_at": None, "revoked_at": None}] * 2


def test_an_unknown_key_cannot_be_revoked(pool: Pool) -> None:
    with pool.connection() as conn, pytest.raises(NotFound):
        keys.revoke(conn, 2**62)


def test_an_empty_key_file_opens_no_door(pool: Pool, home: Path) -> None:
    """As a crash between making the file and writing it leaves it."""
    home.mkdir()
    (home / ADMIN_KEY_FILE).touch(mode=0o600)
    with pool.connection() as conn:
        key = ensured(conn, home)
        assert key
        assert is_live(conn, key)
        assert not is_live(conn, "")


def test_the_database_does_not_know_the_key_itself(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        key = ensured(conn, home)
        rows = conn.execute("SELECT * FROM api_keys").fetchall()
    assert not any(key in str(value) for row in rows for value in row.values())
