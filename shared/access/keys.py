"""API keys: their hashes are in PostgreSQL, the first key itself is in `$PRICING_HOME/admin.key`."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from shared.access.scopes import ALL, Scope
from shared.errors import NotFound
from shared.postgres.pools import AsyncPool, Conn

ADMIN_KEY_FILE = "admin.key"
ADMIN_NAME = "admin"


class LiveKey(msgspec.Struct, frozen=True):
    """A key that is neither revoked nor expired.

    Attributes:
        digest: SHA-256 of the key, in hex.
        expires_at: None: never.
    """

    id: int
    name: str
    scopes: frozenset[str]
    digest: str
    expires_at: datetime | None = None


def ensure_admin_key(conn: Conn, home: Path, given: str = "") -> None:
    """Store the hash of the admin key: the given key, else the key in the file.

    The file is created at the first start (mode 0600). Admin keys of former starts stay valid.
    """
    conn.execute(
        "INSERT INTO api_keys (key_hash, name, scopes, created_by, started_at)"
        " VALUES (%s, %s, %s, 'start', clock_timestamp())"
        " ON CONFLICT (key_hash) DO UPDATE SET started_at = excluded.started_at",
        [digest_of(given or _in_file(home)), ADMIN_NAME, [ALL]],
    )


def create(
    conn: Conn, name: str, scopes: Sequence[Scope], created_by: str, expires_at: datetime | None = None
) -> tuple[int, str]:
    """Store a new key; returns its id and the key itself, which nobody can read again.

    Args:
        conn: In a transaction.
        name: For people.
        scopes: At least one.
        created_by: `just`, or `key` and the id of the key that asked.
        expires_at: None: never.
    """
    key = new_key()
    row = conn.execute(
        "INSERT INTO api_keys (key_hash, name, scopes, created_by, expires_at) VALUES (%s, %s, %s, %s, %s)"
        " RETURNING id",
        [digest_of(key), name, list(scopes), created_by, expires_at],
    ).fetchone()
    assert row  # noqa: S101 # INSERT … RETURNING returns a row
    return row["id"], key


def revoke(conn: Conn, key_id: int) -> None:
    """End a key. A key that was revoked before stays so.

    Raises:
        NotFound: there is no such key.
    """
    query = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = %s"
    if conn.execute(query, [key_id]).rowcount == 0:
        raise NotFound(f"no key {key_id}")


async def live(database: AsyncPool) -> list[LiveKey]:
    """Every key that is neither revoked nor expired."""
    async with database.connection() as conn:
        rows = await (await conn.execute(_LIVE)).fetchall()
    return [
        LiveKey(row["id"], row["name"], frozenset(row["scopes"]), row["key_hash"], row["expires_at"]) for row in rows
    ]


async def note_use(database: AsyncPool, used_at: Mapping[int, datetime]) -> None:
    """Store the last use of keys, by their ids. A row that another process writes just now is left to it."""
    async with database.connection() as conn:
        await conn.execute(_NOTE_USE, {"ids": list(used_at), "times": list(used_at.values())})


def digest_of(key: str) -> str:
    """The hash of a key that the database holds."""
    # Keys are 256 random bits: a fast hash is safe against search, and a slow one would only cost time.
    return hashlib.sha256(key.encode()).hexdigest()


def _in_file(home: Path) -> str:
    """The key in the home's file, which is created atomically and never replaced."""
    path = home / ADMIN_KEY_FILE
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and not path.read_text().strip():
        path.unlink()
    # mkstemp: mode 0600 from the start.
    descriptor, draft = tempfile.mkstemp(dir=home, prefix=ADMIN_KEY_FILE)
    with os.fdopen(descriptor, "w") as file:
        file.write(new_key() + "\n")
    with suppress(FileExistsError):
        os.link(draft, path)
    Path(draft).unlink()
    return path.read_text().strip()


def new_key() -> str:
    """A new random key."""
    return secrets.token_urlsafe(32)


_LIVE = """
SELECT id, name, scopes, key_hash, expires_at FROM api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""

_NOTE_USE = """
WITH used AS (SELECT * FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) AS used (id, at)),
free AS (SELECT id FROM api_keys WHERE id = ANY (%(ids)s) FOR UPDATE SKIP LOCKED)
UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)
FROM used JOIN free USING (id) WHERE api_keys.id = used.id
"""
