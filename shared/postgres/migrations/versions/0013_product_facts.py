"""Product facts that rules and shown prices read: brand, tags, content, tax class, steps, decimals, MAP and RRP."""

from alembic import op

revision = "0013"
down_revision = "0012"

COLUMNS = """
ALTER TABLE products
    ADD COLUMN brand text,
    ADD COLUMN tags jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN content jsonb,
    ADD COLUMN tax_class text NOT NULL DEFAULT 'standard',
    ADD COLUMN quantity_step numeric,
    ADD COLUMN price_decimals bigint,
    ADD COLUMN map_price numeric,
    ADD COLUMN rrp numeric;
"""


def upgrade() -> None:
    """Add the columns; no row is rewritten."""
    op.execute(COLUMNS)
