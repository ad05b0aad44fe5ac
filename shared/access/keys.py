"""API keys: their hashes are in PostgreSQL, the first key itself is in `$PRICING_HOME/admin.key`."""

import hashlib
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from shared.postgres.pools import Conn

ADMIN_KEY_FILE = "admin.key"


def ensure_admin_key(conn: Conn, home: Path, given: str = "") -> None:
    """Store the hash of the admin key: the given key, else the key in the file.

    The file is created at the first start (mode 0600).
    """
    conn.execute(
        "INSERT INTO api_keys (key_hash, name) VALUES (%s, 'admin') ON CONFLICT DO NOTHING",
        [_hash(given or _in_file(home))],
    )


def is_valid(conn: Conn, key: str) -> bool:
    """Whether the key is known and not revoked."""
    query = "SELECT 1 FROM api_keys WHERE key_hash = %s AND revoked_at IS NULL"
    return conn.execute(query, [_hash(key)]).fetchone() is not None


def _in_file(home: Path) -> str:
    """The key in the home's file, which is created atomically and never replaced."""
    path = home / ADMIN_KEY_FILE
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and not path.read_text().strip():
        path.unlink()
    # mkstemp: mode 0600 from the start.
    descriptor, draft = tempfile.mkstemp(dir=home, prefix=ADMIN_KEY_FILE)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    with suppress(FileExistsError):
        os.link(draft, path)
    Path(draft).unlink()
    return path.read_text().strip()


def _hash(key: str) -> str:
    # Keys are 256 random bits: a fast hash is safe against search, and a slow one would only cost time.
    return hashlib.sha256(key.encode()).hexdigest()
