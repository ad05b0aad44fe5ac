"""The field's names for tables and columns, in place of private ones; the data stays."""

from alembic import op

revision = "0005"
down_revision = "0004"

# An engine of the version before cannot run beside it: `just down`, then `just up`.
RENAMED = """
-- squawk-ignore-file renaming-table, renaming-column, renaming-object, ban-drop-constraint
ALTER TABLE paces RENAME TO repricing_queue;
ALTER INDEX paces_pkey RENAME TO repricing_queue_pkey;
ALTER INDEX due_paces RENAME TO due_targets;
ALTER TABLE market_events RENAME COLUMN kills TO crashes;
ALTER TABLE market_events RENAME COLUMN time TO occurred_at;
ALTER TABLE market_events RENAME COLUMN received_at TO recorded_at;
ALTER TABLE tasks RENAME COLUMN kills TO crashes;
ALTER TABLE tasks RENAME COLUMN scope TO product_set;
ALTER TABLE run_partitions RENAME COLUMN kills TO crashes;
ALTER TABLE signals RENAME COLUMN time TO occurred_at;
ALTER TABLE markets RENAME COLUMN time TO occurred_at;
ALTER TABLE price_history RENAME COLUMN at TO recorded_at;
ALTER TABLE imports RENAME COLUMN at TO recorded_at;
"""

KINDS = """
ALTER TABLE tasks DROP CONSTRAINT tasks_kind_check;
UPDATE tasks SET kind = 'cache_sync' WHERE kind = 'publication';
ALTER TABLE tasks ADD CONSTRAINT tasks_kind_check CHECK (kind IN ('recalculation', 'cache_sync'));
"""


def upgrade() -> None:
    """Rename."""
    op.execute(RENAMED)
    op.execute(KINDS)
