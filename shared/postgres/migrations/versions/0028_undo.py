"""Undo: which prices of the history were restored, and from which version."""

from alembic import op

revision = "0028"
down_revision = "0027"

SCHEMA = """
CREATE TABLE restored_prices (
    recorded_at timestamptz NOT NULL,
    product_id text NOT NULL,
    version bigint NOT NULL,
    back_to bigint NOT NULL
) PARTITION BY RANGE (recorded_at);
CREATE INDEX restored_prices_by_product ON restored_prices (product_id, recorded_at);
CREATE TABLE restored_prices_default PARTITION OF restored_prices DEFAULT;
COMMENT ON TABLE restored_prices IS 'rows of price_history that an undo made';
COMMENT ON COLUMN restored_prices.back_to IS 'the version whose price is in force again';

ALTER TABLE plan_items ADD COLUMN undo text;
COMMENT ON COLUMN plan_items.undo IS 'what an undo does with the product: restored, paused, left or created';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA)
