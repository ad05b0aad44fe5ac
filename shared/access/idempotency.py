"""Idempotency keys: the answers to writes, kept for a day, so that a write that is sent again is not done again.

A row is claimed before the write and gets the answer after it. The lease of a claim ends where its process crashed.
"""

import msgspec

from shared.postgres.pools import Conn

KEPT_S = 86_400
# Longer than any write: a statement ends after 30 s, a wait for a lock after 10 s.
LEASE_S = 60


class Write(msgspec.Struct, frozen=True):
    """A write with an idempotency key.

    Attributes:
        caller: The caller's API key, hashed, or address.
        path: The path of the request.
        key: The caller's name for this write.
        fingerprint: A digest of the rest of the request: another request has another one.
    """

    caller: str
    path: str
    key: str
    fingerprint: bytes


class Answer(msgspec.Struct, frozen=True):
    """The answer to a write; its headers are pairs of name and value."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Known(msgspec.Struct, frozen=True):
    """An earlier request with the same key.

    Attributes:
        fingerprint: The digest of the earlier request.
        answer: Its answer; None: it still runs.
    """

    fingerprint: bytes
    answer: Answer | None


def claim(conn: Conn, write: Write) -> int | Known:
    """Claim a write, in a transaction of its own; the number of the claim, or the earlier request."""
    values = msgspec.structs.asdict(write) | {"lease": LEASE_S, "kept": KEPT_S}
    if row := conn.execute(_CLAIM, values).fetchone():
        number: int = row["claim"]
        return number
    row = conn.execute(_KNOWN, values).fetchone()
    if row is None:
        # It was purged in between.
        return claim(conn, write)
    if row["status"] is None:
        return Known(row["fingerprint"], None)
    return Known(row["fingerprint"], Answer(row["status"], msgspec.convert(row["headers"], _Headers), row["body"]))


def keep(conn: Conn, write: Write, number: int, answer: Answer) -> None:
    """Keep the answer to a claimed write, unless a later claim has taken over."""
    headers = msgspec.json.encode(answer.headers).decode()
    values = {"claim": number, "status": answer.status, "headers": headers, "body": answer.body}
    conn.execute(_KEEP, msgspec.structs.asdict(write) | values)


def release(conn: Conn, write: Write, number: int) -> None:
    """End the claim of a write that failed for a reason that may pass: the next request executes it."""
    conn.execute(_RELEASE, msgspec.structs.asdict(write) | {"claim": number})


def forget(conn: Conn, name: str) -> int:
    """Delete the answers that name this id as a text, and the rows whose path or key has it; returns their number."""
    return conn.execute(_FORGET, {"text": msgspec.json.encode(name), "name": name}).rowcount


def purge(conn: Conn, limit: int) -> int:
    """Delete up to this many rows whose day is over; returns their number."""
    return conn.execute(_PURGE, [limit]).rowcount


_Headers = list[tuple[str, str]]

_THIS = "caller = %(caller)s AND path = %(path)s AND key = %(key)s"

# A crashed claim is taken over by the same request, a row whose day is over by any.
_CLAIM = """
INSERT INTO idempotency_keys AS k (caller, path, key, fingerprint, lease_until, expires_at)
VALUES (%(caller)s, %(path)s, %(key)s, %(fingerprint)s, clock_timestamp() + make_interval(secs => %(lease)s),
    clock_timestamp() + make_interval(secs => %(kept)s))
ON CONFLICT (caller, path, key) DO UPDATE SET claim = k.claim + 1, fingerprint = excluded.fingerprint,
    lease_until = excluded.lease_until, expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL
WHERE k.expires_at <= clock_timestamp()
    OR (k.status IS NULL AND k.lease_until <= clock_timestamp() AND k.fingerprint = excluded.fingerprint)
RETURNING claim
"""

_KNOWN = f"SELECT fingerprint, status, headers, body FROM idempotency_keys WHERE {_THIS}"  # noqa: S608 # our own condition

_KEEP = f"""
UPDATE idempotency_keys SET status = %(status)s, headers = %(headers)s::jsonb, body = %(body)s
WHERE {_THIS} AND claim = %(claim)s
"""  # noqa: S608 # as above

_RELEASE = f"DELETE FROM idempotency_keys WHERE {_THIS} AND claim = %(claim)s"  # noqa: S608 # as above

_FORGET = """
DELETE FROM idempotency_keys
WHERE position(%(text)s::bytea IN body) > 0 OR key = %(name)s OR %(name)s = ANY(string_to_array(path, '/'))
"""

_PURGE = """
DELETE FROM idempotency_keys WHERE (caller, path, key) IN (
    SELECT caller, path, key FROM idempotency_keys WHERE expires_at <= clock_timestamp()
    ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED)
"""
