"""Epochs: one uninterrupted history of the data each. Versions of different epochs cannot be compared.

A restored database, a recovery to a point in time and a failover have another epoch at once, by themselves:
`database_identity()` in PostgreSQL differs from the one in the table `epoch`. Data that was replaced within the same
tables is found by the beat, a number that a listener raises every second: a lower one means that the data went back.
"""

from shared.postgres.pools import Conn


def begin(conn: Conn) -> int:
    """Begin a new epoch, in the caller's transaction; all cached prices are invalid from its commit on."""
    row = conn.execute(_BEGIN).fetchone()
    assert row  # noqa: S101 # an upsert returns its row
    return int(row["number"])


def beat(conn: Conn) -> int:
    """Raise the beat, in the caller's transaction, and return it."""
    row = conn.execute("UPDATE epoch SET beat = beat + 1 RETURNING beat").fetchone()
    return int(row["beat"]) if row else 0


# Microseconds since 1970: a number that no epoch had before.
_BEGIN = """
INSERT INTO epoch AS e (number, identity)
VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, database_identity())
ON CONFLICT (is_only) DO UPDATE SET number = excluded.number, identity = excluded.identity
RETURNING number
"""
