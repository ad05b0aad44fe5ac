"""Pauses of automation: of a product, of a category, or of everything."""

from alembic import op

revision = "0023"
down_revision = "0022"

SCHEMA = """
CREATE TABLE pauses (
    pause_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id text,
    category text,
    reason text NOT NULL,
    author text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz,
    CHECK (product_id IS NULL OR category IS NULL)
);
CREATE UNIQUE INDEX pauses_by_reach ON pauses (coalesce(product_id, ''), coalesce(category, ''));
COMMENT ON TABLE pauses IS 'with neither product nor category: everything; until NULL: until it is resumed';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA.replace(":", "\\:"))
