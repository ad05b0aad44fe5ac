"""Follow-ups: the merging of recalculations that are requested while another one runs.

Such a request ends `skipped`, and `result.merged_into` names the task that includes it. This is a run that started
after the request and has all its products, or else the single queued follow-up. The follow-up's product set is the
union of the requests merged into it.
"""

from typing import Any
from uuid import UUID

import msgspec

from shared.catalogue import product_set
from shared.catalogue.product_set import ProductSet
from shared.postgres.pools import Conn


def skip_if_covered(conn: Conn, task_id: UUID) -> bool:
    """End a queued recalculation that a later run includes: the run started later, and has all its products.

    Such a run read each of these products after this task was requested, so a second run would change nothing. A
    follow-up is never skipped: requests merged into it may be later than the start of that run.
    """
    conn.execute("SELECT pg_advisory_xact_lock(%s)", [_FOLLOW_UP_LOCK])
    task = _lock_queued(conn, task_id)
    if task is None or task["attempts"] or task["follow_up"]:
        return False
    later = conn.execute(
        "SELECT task_id, product_set FROM tasks WHERE kind = 'recalculation' AND status IN ('running', 'succeeded')"
        " AND started_at > %s ORDER BY started_at DESC LIMIT 20",
        [task["created_at"]],
    ).fetchall()
    wanted = _product_set(task["product_set"])
    into = next((row["task_id"] for row in later if _covers(row["product_set"], wanted)), None)
    if into is not None:
        _skip(conn, task_id, into)
    return into is not None


def skip_into_follow_up(conn: Conn, task_id: UUID) -> bool:
    """End a queued recalculation because another one runs; the single queued follow-up takes over its product set.

    Returns:
        False where no recalculation runs any more. True for the follow-up itself, which stays queued.
    """
    conn.execute("SELECT pg_advisory_xact_lock(%s)", [_FOLLOW_UP_LOCK])
    task = _lock_queued(conn, task_id)
    if task is None:
        return True
    if not conn.execute("SELECT 1 FROM tasks WHERE kind = 'recalculation' AND status = 'running'").fetchone():
        return False
    if not task["follow_up"]:
        _skip(conn, task_id, _into_follow_up(conn, task_id))
    return True


def claim_follow_up(conn: Conn) -> UUID | None:
    """Claim the queued follow-up, if there is one and no recalculation runs, in order to enqueue it."""
    row = conn.execute(
        "UPDATE tasks SET enqueued_at = clock_timestamp() WHERE follow_up AND status = 'queued'"
        " AND NOT EXISTS (SELECT FROM tasks WHERE kind = 'recalculation' AND status = 'running') RETURNING task_id"
    ).fetchone()
    return UUID(str(row["task_id"])) if row else None


def pass_on_merged(conn: Conn, task_id: UUID) -> None:
    """Move the requests that were merged into an unsuccessful run to the follow-up."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", [_FOLLOW_UP_LOCK])
    merged = conn.execute(
        "SELECT task_id FROM tasks WHERE status = 'skipped' AND result->>'merged_into' = %s", [str(task_id)]
    ).fetchall()
    for row in merged:
        _skip(conn, row["task_id"], _into_follow_up(conn, row["task_id"]))


def _lock_queued(conn: Conn, task_id: UUID) -> dict[str, Any] | None:
    return conn.execute(
        "SELECT product_set, follow_up, created_at, attempts FROM tasks"
        " WHERE task_id = %s AND status = 'queued' FOR UPDATE",
        [task_id],
    ).fetchone()


def _skip(conn: Conn, task_id: UUID, into: UUID) -> None:
    """End a task; the keys that asked for it are also those of the task that includes it."""
    conn.execute(
        "UPDATE tasks SET status = 'skipped', finished_at = clock_timestamp(),"
        " result = jsonb_build_object('merged_into', %s::text) WHERE task_id = %s",
        [str(into), task_id],
    )
    conn.execute(_ADD_KEYS, [task_id, into])


def _into_follow_up(conn: Conn, task_id: UUID) -> UUID:
    """Add a task's product set to the queued follow-up, or create one from it; returns the follow-up's id."""
    task = conn.execute("SELECT product_set, traceparent FROM tasks WHERE task_id = %s", [task_id]).fetchone()
    assert task  # noqa: S101 # the caller has locked its row
    waiting = conn.execute(
        "SELECT task_id, product_set FROM tasks WHERE follow_up AND status = 'queued' FOR UPDATE"
    ).fetchone()
    own = _product_set(task["product_set"])
    if waiting is not None:
        union = _json(_product_set(waiting["product_set"]).union(own))
        conn.execute("UPDATE tasks SET product_set = %s WHERE task_id = %s", [union, waiting["task_id"]])
        return UUID(str(waiting["task_id"]))
    row = conn.execute(
        "INSERT INTO tasks (task_id, kind, product_set, traceparent, follow_up)"
        " VALUES (gen_random_uuid(), 'recalculation', %s, %s, true) RETURNING task_id",
        [_json(own), task["traceparent"]],
    ).fetchone()
    assert row  # noqa: S101 # INSERT … RETURNING returns a row
    return UUID(str(row["task_id"]))


def _covers(document: object, wanted: ProductSet) -> bool:
    found = product_set.stored(document)
    return found is not None and found.covers(wanted)


def _product_set(document: object) -> ProductSet:
    """The product set of a row; everything where it cannot be read: whatever it was, it is included."""
    return product_set.stored(document) or ProductSet()


def _json(merged: ProductSet) -> str:
    return msgspec.json.encode(merged).decode()


_ADD_KEYS = """
UPDATE tasks t SET key_ids = t.key_ids || s.key_ids FROM tasks s
WHERE s.task_id = %s AND t.task_id = %s AND NOT t.key_ids @> s.key_ids
"""

# An arbitrary number; every change of the follow-up holds this lock.
_FOLLOW_UP_LOCK = 7_203_772
