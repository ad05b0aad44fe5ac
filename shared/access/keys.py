"""API keys: the database knows their hashes, `$PRICING_HOME/admin.key` the first one itself."""

import hashlib
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from shared.postgres.pools import Conn

ADMIN_KEY_FILE = "admin.key"


def ensure_admin_key(conn: Conn, home: Path, given: str = "") -> None:
    """Let the database know the admin key: the given one, else the one in its file.

    The file is made at the first start (mode 0600).
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
    """The key in the home's file; the file appears whole or not at all, and the first one stays."""
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
    # Keys are 256 random bits: a plain hash cannot be searched, a slow one would only slow us.
    return hashlib.sha256(key.encode()).hexdigest()
