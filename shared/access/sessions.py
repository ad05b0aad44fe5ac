"""Sessions of the console: begun with an API key or a link, ended with their key, after 12 hours or by signing out."""

import secrets
from datetime import datetime

import msgspec

from shared.access.keys import LiveKey, digest_of
from shared.postgres.pools import Conn

LASTS_S = 12 * 3600
LINK_LASTS_S = 300


class Session(msgspec.Struct, frozen=True):
    """A session in force, with the key that began it."""

    key: LiveKey
    ends_at: datetime


def begin(conn: Conn, key_id: int) -> str:
    """Begin a session of a live key; returns its token. Those that are over are deleted."""
    conn.execute("DELETE FROM sessions WHERE expires_at <= clock_timestamp()")
    return _insert(conn, key_id, is_link=False, lasts_s=LASTS_S)


def make_link(conn: Conn, key_id: int) -> str:
    """The token of a link that begins a session, once, within five minutes."""
    return _insert(conn, key_id, is_link=True, lasts_s=LINK_LASTS_S)


def follow_link(conn: Conn, token: str) -> str | None:
    """End a link and begin its session; returns the session's token. None: the link is over."""
    row = conn.execute(_FOLLOW, [digest_of(token)]).fetchone()
    return None if row is None else begin(conn, row["key_id"])


def find(conn: Conn, token: str) -> Session | None:
    """The session of a token; None: there is none, or it or its key is over."""
    row = conn.execute(_FIND, [digest_of(token)]).fetchone()
    if row is None:
        return None
    ends_at = row.pop("ends_at")
    return Session(LiveKey(**row | {"scopes": frozenset(row["scopes"])}), ends_at)


def end(conn: Conn, token: str) -> None:
    """End a session."""
    conn.execute("DELETE FROM sessions WHERE token_hash = %s", [digest_of(token)])


def _insert(conn: Conn, key_id: int, *, is_link: bool, lasts_s: int) -> str:
    token = secrets.token_urlsafe(32)
    conn.execute(_INSERT, [digest_of(token), key_id, is_link, lasts_s])
    return token


# The key is read with the session: revoked, it ends its sessions at once.
_FIND = """
SELECT k.id, k.name, k.scopes, k.key_hash AS digest, k.expires_at, k.prices_per_s, s.expires_at AS ends_at
FROM sessions s JOIN api_keys k ON k.id = s.key_id
WHERE s.token_hash = %s AND NOT s.is_link AND s.expires_at > clock_timestamp()
    AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
"""

_FOLLOW = """
DELETE FROM sessions WHERE token_hash = %s AND is_link AND expires_at > clock_timestamp() RETURNING key_id
"""

_INSERT = """
INSERT INTO sessions (token_hash, key_id, is_link, expires_at)
VALUES (%s, %s, %s, clock_timestamp() + make_interval(secs => %s))
"""
