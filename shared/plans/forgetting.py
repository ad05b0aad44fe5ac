"""A customer's entries in stored plans, taken out where the customer is forgotten."""

from msgspec.structs import replace

from shared.plans import changes
from shared.plans.changes import Change
from shared.postgres.pools import Conn


def forget(conn: Conn, customer_id: str) -> int:
    """Take the entries of a customer out of all plans; returns the number of plans that had some.

    An application that is under way may still write them: call it again afterwards.
    """
    rows = conn.execute(_NAMING, {"customer_id": customer_id}).fetchall()
    for row in rows:
        left = [one for each in changes.decoded(row["changes"]) if (one := _without(each, customer_id)) is not None]
        conn.execute("UPDATE plans SET changes = %s WHERE plan_id = %s", [changes.encoded(left), row["plan_id"]])
    return len(rows)


def _without(change: Change, customer_id: str) -> Change | None:
    """The change without the customer's entries; None: it has no others."""
    if change.entries is None:
        return change
    left = tuple(entry for entry in change.entries.entries if entry.customer_id != customer_id)
    return replace(change, entries=replace(change.entries, entries=left)) if left else None


_NAMING = """
SELECT plan_id, changes::text AS changes FROM plans
WHERE jsonb_path_exists(changes, '$[*].entries.entries[*] ? (@.customer_id == $customer_id)',
    jsonb_build_object('customer_id', %(customer_id)s::text))
FOR UPDATE
"""
