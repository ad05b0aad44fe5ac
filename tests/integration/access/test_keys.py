"""API keys: made once, kept to its owner, known to the database by its hash only."""

import stat
from pathlib import Path

import pytest

from shared.access import keys
from shared.postgres.pools import Conn, Pool


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def ensured(conn: Conn, home: Path) -> str:
    keys.ensure_admin_key(conn, home)
    return (home / keys.ADMIN_KEY_FILE).read_text().strip()


def test_the_key_is_made_once_and_kept(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        key = ensured(conn, home)
        assert ensured(conn, home) == key
        assert keys.is_valid(conn, key)
    assert len(key) >= 43


def test_only_its_owner_may_read_it_whatever_the_umask(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        ensured(conn, home)
    assert stat.S_IMODE((home / keys.ADMIN_KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_another_home_has_another_key_and_both_count(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        one, other = ensured(conn, home), ensured(conn, home / "other")
        assert one != other
        assert keys.is_valid(conn, one)
        assert keys.is_valid(conn, other)


def test_a_key_from_the_file_is_known_to_a_new_database(pool: Pool, home: Path) -> None:
    home.mkdir()
    (home / keys.ADMIN_KEY_FILE).write_text("brought-along-by-the-operator\n")
    with pool.connection() as conn:
        assert ensured(conn, home) == "brought-along-by-the-operator"
        assert keys.is_valid(conn, "brought-along-by-the-operator")


def test_a_revoked_key_is_refused_and_stays_so_after_a_restart(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        key = ensured(conn, home)
        conn.execute(
            "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE key_hash = encode(sha256(%s::bytea), 'hex')",
            [key.encode()],
        )
        assert not keys.is_valid(conn, key)
        ensured(conn, home)
        assert not keys.is_valid(conn, key)


@pytest.mark.parametrize("key", ["", " ", "nonsense", "a\0b", "é", "x" * 10_000])
def test_an_unknown_key_is_refused(pool: Pool, key: str) -> None:
    with pool.connection() as conn:
        assert not keys.is_valid(conn, key)


def test_an_empty_key_file_opens_no_door(pool: Pool, home: Path) -> None:
    """As a crash between making the file and writing it leaves it."""
    home.mkdir()
    (home / keys.ADMIN_KEY_FILE).touch(mode=0o600)
    with pool.connection() as conn:
        key = ensured(conn, home)
        assert key
        assert keys.is_valid(conn, key)
        assert not keys.is_valid(conn, "")


def test_the_database_does_not_know_the_key_itself(pool: Pool, home: Path) -> None:
    with pool.connection() as conn:
        key = ensured(conn, home)
        rows = conn.execute("SELECT * FROM api_keys").fetchall()
    assert not any(key in str(value) for row in rows for value in row.values())
