"""What is deleted of plans: parts and items of those that ended without a use, and all of old ones; and old imports."""

from shared.catalogue import staged_imports
from shared.postgres.pools import Conn


def purge(conn: Conn, limit: int, keeps_days: int) -> int:
    """Delete up to this many rows; returns the larger number of one table.

    Items of old plans go with their month's partition. Plans that failed or were aborted or discarded stay in the list.
    """
    deleted = [conn.execute(query, {"limit": limit, "days": keeps_days}).rowcount for query in PURGE]
    deleted.append(staged_imports.purge(conn, limit, keeps_days))
    return max(deleted)


_UNUSED = """
SELECT p.plan_id, p.created_at FROM plans p LEFT JOIN tasks t ON t.task_id = p.task_id
WHERE p.applied_version IS NULL AND (p.discarded_at IS NOT NULL OR t.status IN ('failed', 'aborted'))
"""

# `now()` does not change in a transaction, so an index bounds the search.
_OLD = "SELECT plan_id FROM plans WHERE created_at < now() - make_interval(days => %(days)s)"

PURGE = (
    f"""
    DELETE FROM plan_items WHERE (planned_at, ctid) IN (
        SELECT i.planned_at, i.ctid FROM ({_UNUSED}) u JOIN plan_items i
            ON i.plan_id = u.plan_id AND i.planned_at = u.created_at LIMIT %(limit)s)
    """,  # noqa: S608 # only our own parts
    f"""
    DELETE FROM plan_parts WHERE (plan_id, number) IN (
        SELECT s.plan_id, s.number FROM (SELECT plan_id FROM ({_UNUSED}) u UNION ALL {_OLD}) over
            JOIN plan_parts s USING (plan_id) LIMIT %(limit)s)
    """,  # noqa: S608 # as above
    f"""
    DELETE FROM plans WHERE plan_id IN ({_OLD} ORDER BY created_at LIMIT %(limit)s)
        AND NOT EXISTS (SELECT FROM plan_parts s WHERE s.plan_id = plans.plan_id)
    """,  # noqa: S608 # as above
)
