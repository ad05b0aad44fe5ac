"""Runs in partitions, paced events, and what kills its worker."""

from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = """
-- The key ranges of a recalculation under way: product_id >= first and < before. `kills` are starts that nobody ended.
CREATE TABLE run_partitions (
    task_id uuid NOT NULL,
    number integer NOT NULL,
    first text NOT NULL,
    before text,
    size integer NOT NULL,
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'running', 'done', 'quarantined')),
    attempts integer NOT NULL DEFAULT 0,
    kills integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    PRIMARY KEY (task_id, number)
);
CREATE INDEX open_partitions ON run_partitions (task_id, kills, number) WHERE status IN ('waiting', 'running');

-- When a product's (or, behind a '#', a market's) events were last decided, who is at it, and when to ring next.
CREATE TABLE paces (
    target text PRIMARY KEY,
    decided_at timestamptz NOT NULL DEFAULT '-infinity',
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    due_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX due_paces ON paces (due_at) WHERE due_at IS NOT NULL;

ALTER TABLE tasks ADD COLUMN kills integer NOT NULL DEFAULT 0, DROP COLUMN cursor;
CREATE INDEX ended_tasks ON tasks (finished_at) WHERE finished_at IS NOT NULL;

ALTER TABLE market_events ADD COLUMN kills integer NOT NULL DEFAULT 0, ADD COLUMN traceback text;
DROP INDEX waiting_events_by_product;
CREATE INDEX waiting_events_by_product ON market_events (product_id, received_at) WHERE status = 'received';
CREATE INDEX given_up_events ON market_events (received_at) WHERE status IN ('rejected', 'failed');
"""


def upgrade() -> None:
    """Add the tables and columns; tasks under way are begun anew."""
    op.execute(SCHEMA.replace(":", "\\:"))
    op.execute("UPDATE tasks SET done = 0, changed = 0, total = NULL WHERE status IN ('queued', 'running')")
