"""Public prices from before this engine, which `just import-history` brings in."""

from alembic import op

revision = "0022"
down_revision = "0021"

SCHEMA = """
CREATE TABLE imported_prices (
    product_id text NOT NULL,
    market text NOT NULL,
    at timestamptz NOT NULL,
    price numeric NOT NULL,
    reference_price numeric,
    PRIMARY KEY (product_id, market, at)
) PARTITION BY RANGE (at);
CREATE TABLE imported_prices_default PARTITION OF imported_prices DEFAULT;
COMMENT ON TABLE imported_prices IS 'read by the lowest price alone; kept as long as the price history';
COMMENT ON COLUMN imported_prices.market IS 'the market''s code without case and outer blanks';
COMMENT ON COLUMN imported_prices.reference_price IS 'the price beside which it was shown as reduced';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA)
