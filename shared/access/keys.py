"""API keys: their hashes are in PostgreSQL, the first key itself is in `$PRICING_HOME/admin.key`."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.access.scopes import ALL, Scope
from shared.errors import InvalidInput, NotFound
from shared.postgres.pools import AsyncPool, Conn
from shared.secrets import ADMIN_KEY_FILE, check_key
from shared.wire.fields import AT

ADMIN_NAME = "admin"
# Scanners for leaked secrets find keys by it.
PREFIX = "pricing_"
LONGEST_NAME = 100
LARGEST_ID = 2**63 - 1
MOST_PRICES_PER_S = 1_000_000
Position = Annotated[int, Meta(ge=1, le=LARGEST_ID)]

KeyName = Annotated[
    str, Meta(min_length=1, max_length=LONGEST_NAME, description="The key's name, for people", examples=["crawler"])
]


class KeyView(msgspec.Struct, frozen=True):
    """A key for people: all but the key itself."""

    id: Annotated[int, Meta(description="The key's id", examples=[7])]
    name: KeyName
    scopes: Annotated[list[str], Meta(description="What it may do", examples=[["events:write"]])]
    state: Annotated[Literal["live", "expired", "revoked"], Meta(description="Whether it works", examples=["live"])]
    created_at: Annotated[datetime, Meta(description="The time at which it was made", examples=[AT])]
    created_by: Annotated[
        str, Meta(description="just; start: the first key; or the key that made it", examples=["just", "key 1"])
    ]
    expires_at: Annotated[datetime | None, Meta(description="The end of its validity; null: none", examples=[AT])]
    last_used_at: Annotated[
        datetime | None, Meta(description="Its last use, some seconds late; null: never", examples=[AT])
    ]
    revoked_at: Annotated[datetime | None, Meta(description="The time of its revocation; null: none", examples=[None])]
    prices_per_s: Annotated[
        int | None, Meta(description="Its limit of price queries a second; null: none", examples=[100])
    ]


class LiveKey(msgspec.Struct, frozen=True):
    """A key that is neither revoked nor expired.

    Attributes:
        digest: SHA-256 of the key, in hex.
        expires_at: None: never.
        prices_per_s: Its price queries a second in each API instance; None: without a limit.
    """

    id: int
    name: str
    scopes: frozenset[str]
    digest: str
    expires_at: datetime | None = None
    prices_per_s: int | None = None


def ensure_admin_key(conn: Conn, home: Path, given: str = "") -> None:
    """Store the hash of the admin key: the given key, else the key in the file.

    The file is created at the first start (mode 0600). Admin keys of former starts stay valid.

    Raises:
        InvalidInput: the key in the file is weak; `shared.settings` has checked the given one.
    """
    conn.execute(
        "INSERT INTO api_keys (key_hash, name, scopes, created_by, started_at)"
        " VALUES (%s, %s, %s, 'start', clock_timestamp())"
        " ON CONFLICT (key_hash) DO UPDATE SET started_at = excluded.started_at",
        [digest_of(given or _in_file(home)), ADMIN_NAME, [ALL]],
    )


def create(
    conn: Conn,
    name: str,
    scopes: Sequence[Scope],
    created_by: str,
    expires_at: datetime | None = None,
    prices_per_s: int | None = None,
) -> tuple[int, str]:
    """Store a new key; returns its id and the key itself. PostgreSQL has only the hash.

    Args:
        conn: In a transaction.
        name: For people.
        scopes: At least one.
        created_by: `just`, or `key` and the id of the key that asked.
        expires_at: None: never.
        prices_per_s: Its price queries a second in each API instance; None: without a limit.

    Raises:
        InvalidInput: the name is empty, too long or not printable.
    """
    if not 1 <= len(name.strip()) <= LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"needs 1 to {LONGEST_NAME} printable characters", "$.name")
    key = f"{PREFIX}{_random()}"
    row = conn.execute(
        "INSERT INTO api_keys (key_hash, name, scopes, created_by, expires_at, prices_per_s)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        [digest_of(key), name.strip(), sorted(set(scopes)), created_by, expires_at, prices_per_s],
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


def view(conn: Conn, key_id: int) -> KeyView:
    """One key.

    Raises:
        NotFound: there is no such key.
    """
    row = conn.execute(f"{_VIEW} WHERE id = %s", [key_id]).fetchone()
    if row is None:
        raise NotFound(f"no key {key_id}")
    return KeyView(**row)


def listed(conn: Conn, limit: int, before: int | None = None) -> list[KeyView]:
    """The newest keys, of those with a lower id than `before`."""
    query = f"{_VIEW} WHERE id < coalesce(%s, {LARGEST_ID}) ORDER BY id DESC LIMIT %s"
    return [KeyView(**row) for row in conn.execute(query, [before, limit])]


def former_admin_keys(conn: Conn) -> list[int]:
    """The ids of live admin keys that the last start was not given."""
    return [row["id"] for row in conn.execute(_FORMER)]


def current_admin_key(conn: Conn) -> int | None:
    """The id of the admin key that the last start was given; None: it was revoked, or there was no start."""
    row = conn.execute(_CURRENT).fetchone()
    return None if row is None else int(row["id"])


async def live(database: AsyncPool) -> list[LiveKey]:
    """Every key that is neither revoked nor expired."""
    async with database.connection() as conn:
        rows = await (await conn.execute(_LIVE)).fetchall()
    return [LiveKey(**row | {"scopes": frozenset(row["scopes"])}) for row in rows]


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
        file.write(_random() + "\n")
    with suppress(FileExistsError):
        os.link(draft, path)
    Path(draft).unlink()
    key = path.read_text().strip()
    try:
        check_key(key)
    except ValueError as error:
        raise InvalidInput(str(error), str(path)) from None
    return key


def _random() -> str:
    return secrets.token_urlsafe(32)


_VIEW = """
SELECT id, name, scopes, created_at, created_by, expires_at, last_used_at, revoked_at, prices_per_s,
    CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= clock_timestamp() THEN 'expired'
        ELSE 'live' END AS state
FROM api_keys
"""

_FORMER = """
SELECT id FROM api_keys
WHERE created_by = 'start' AND revoked_at IS NULL
    AND coalesce(started_at, '-infinity') < (SELECT max(started_at) FROM api_keys)
ORDER BY id
"""

_CURRENT = """
SELECT id FROM api_keys WHERE created_by = 'start' AND revoked_at IS NULL
    AND started_at = (SELECT max(started_at) FROM api_keys)
ORDER BY id DESC LIMIT 1
"""

_LIVE = """
SELECT id, name, scopes, key_hash AS digest, expires_at, prices_per_s FROM api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""

_NOTE_USE = """
WITH used AS (SELECT * FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) AS used (id, at)),
free AS (SELECT id FROM api_keys WHERE id = ANY (%(ids)s) FOR UPDATE SKIP LOCKED)
UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)
FROM used JOIN free USING (id) WHERE api_keys.id = used.id
"""
