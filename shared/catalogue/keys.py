"""API keys: the database knows their hashes, `$PRICING_HOME/admin.key` the first one itself."""

import hashlib
import os
import secrets
from pathlib import Path

from shared.catalogue.database import Conn

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
    path = home / ADMIN_KEY_FILE
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    except FileExistsError:
        pass
    return path.read_text().strip()


def _hash(key: str) -> str:
    # Keys are 256 random bits: a plain hash cannot be searched, a slow one would only slow us.
    return hashlib.sha256(key.encode()).hexdigest()
