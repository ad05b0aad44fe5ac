"""The values that signals replaced, so that an undo finds the earlier ones."""

from alembic import op

revision = "0030"
down_revision = "0029"

SCHEMA = """
CREATE TABLE replaced_signals (
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    product_id text NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    old_signal jsonb,
    old_fact numeric,
    is_undone boolean NOT NULL DEFAULT false
) PARTITION BY RANGE (replaced_at);
CREATE INDEX replaced_signals_by_product ON replaced_signals (product_id, replaced_at);
CREATE TABLE replaced_signals_default PARTITION OF replaced_signals DEFAULT;
COMMENT ON TABLE replaced_signals IS 'one row for each signal that was applied; event_id and occurred_at are its own';
COMMENT ON COLUMN replaced_signals.old_signal IS 'the row of signals until then; null: there was none';
COMMENT ON COLUMN replaced_signals.old_fact IS 'the stock or the cost of the product until then';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA)
