"""`just keys`: made, listed and revoked; the key itself is printed once and alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from shared.access import keys
from shared.commands.keys import keys_command
from shared.postgres.pools import Pool
from shared.settings import Settings


class Just:
    """Runs `just keys`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def keys(self, *arguments: str) -> Result:
        return CliRunner().invoke(keys_command, arguments, obj=self._settings)


@pytest.fixture
def just(settings: Settings, pool: Pool) -> Iterator[Just]:
    with pool.connection() as conn:
        conn.execute("TRUNCATE api_keys CASCADE")
    yield Just(settings)


def rows(pool: Pool) -> list[keys.KeyView]:
    with pool.connection() as conn:
        return keys.listed(conn, 100)


def test_a_new_key_is_alone_on_standard_output_and_only_its_hash_is_stored(just: Just, pool: Pool) -> None:
    done = just.keys("create", "--name", "crawler", "--scope", "events:write", "--scope", "catalogue:read")
    assert done.exit_code == 0
    [key] = done.stdout.splitlines()
    [row] = rows(pool)
    assert (row.name, row.scopes, row.state) == ("crawler", ["catalogue:read", "events:write"], "live")
    assert (row.created_by, row.expires_at, row.last_used_at) == ("just", None, None)
    with pool.connection() as conn:
        found = conn.execute("SELECT * FROM api_keys").fetchone()
    assert found
    assert found["key_hash"] == keys.digest_of(key)
    assert key not in [str(value) for value in found.values()]
    assert key not in just.keys("list").stdout


@pytest.mark.parametrize(
    ("text", "span"),
    [("90d", timedelta(days=90)), ("12h", timedelta(hours=12)), ("30m", timedelta(minutes=30))],
)
def test_a_key_ends_after_its_lifetime(just: Just, pool: Pool, text: str, span: timedelta) -> None:
    before = datetime.now(UTC)
    assert just.keys("create", "--name", "crawler", "--scope", "events:write", "--expires", text).exit_code == 0
    [row] = rows(pool)
    assert row.expires_at
    assert before + span <= row.expires_at <= datetime.now(UTC) + span


def test_a_key_may_limit_its_price_queries(just: Just, pool: Pool) -> None:
    create = ("create", "--name", "shop", "--scope", "prices:read", "--prices-per-s")
    assert just.keys(*create, "100").exit_code == 0
    assert [just.keys(*create, wrong).exit_code for wrong in ("0", "1.5", "1000001", "x")] == [2] * 4
    [row] = rows(pool)
    assert row.prices_per_s == 100


@pytest.mark.parametrize("text", ["", "0d", "-1d", "90", "d", "1w", "1.5h", "9999999d", "99999999999d", "٣d"])
def test_a_lifetime_that_is_none_is_refused(just: Just, pool: Pool, text: str) -> None:
    done = just.keys("create", "--name", "crawler", "--scope", "events:write", "--expires", text)
    assert done.exit_code == 2
    assert "30m, 12h, 90d" in done.stderr
    assert rows(pool) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "x"),
        ("--scope", "operate"),
        ("--name", "x", "--scope", "everything"),
        ("--name", "", "--scope", "operate"),
    ],
)
def test_a_key_without_name_or_scope_is_refused(just: Just, pool: Pool, arguments: tuple[str, ...]) -> None:
    assert just.keys("create", *arguments).exit_code != 0
    assert rows(pool) == []


def test_a_key_is_revoked_by_its_id_and_stays_in_the_list(just: Just, pool: Pool) -> None:
    just.keys("create", "--name", "crawler", "--scope", "events:write")
    [row] = rows(pool)
    assert just.keys("revoke", str(row.id)).exit_code == 0
    [revoked] = rows(pool)
    assert revoked.state == "revoked"
    assert "revoked" in just.keys("list").stdout
    assert just.keys("revoke", str(row.id)).exit_code == 0
    assert rows(pool) == [revoked]


@pytest.mark.parametrize("key_id", ["0", "-1", "x", "9223372036854775808"])
def test_an_id_that_cannot_be_one_is_refused(just: Just, key_id: str) -> None:
    assert just.keys("revoke", key_id).exit_code == 2


def test_an_unknown_id_is_an_error_of_one_line(just: Just) -> None:
    done = just.keys("revoke", "4711")
    assert (done.exit_code, done.stderr) == (1, "Error: no key 4711\n")
