"""Leases: their duration, and the number of times that a job may crash its worker.

A named lease is a row. One process of many holds it, for work that only one process may do.
"""

from shared.postgres.pools import Conn

# Work of a crashed process goes on within 16 s: after its lease, the next sweep, and room for a busy machine.
LEASE_S = 12
# A job that crashed its worker this often is not started again.
MAX_CRASHES = 3
QUARANTINED = "Quarantined"


def take(conn: Conn, name: str, holder: str, lease_s: float) -> bool:
    """Take or renew a named lease; False where another holder has it.

    Args:
        conn: In a transaction of its own.
        name: The purpose of the lease.
        holder: The unique name of the holder, the same at each renewal.
        lease_s: Seconds until another holder may take it.
    """
    return conn.execute(_TAKE, {"name": name, "holder": holder, "lease_s": lease_s}).rowcount == 1


def give_up(conn: Conn, name: str, holder: str) -> None:
    """End a named lease, so that another holder can take it at once."""
    conn.execute("DELETE FROM leases WHERE name = %s AND holder = %s", [name, holder])


_TAKE = """
INSERT INTO leases AS l (name, holder, lease_until)
VALUES (%(name)s, %(holder)s, clock_timestamp() + make_interval(secs => %(lease_s)s))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
WHERE l.holder = excluded.holder OR l.lease_until <= clock_timestamp()
"""
