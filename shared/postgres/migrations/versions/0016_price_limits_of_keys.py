"""A key may limit its price queries."""

from alembic import op

revision = "0016"
down_revision = "0015"

SCHEMA = """
ALTER TABLE api_keys ADD COLUMN prices_per_s bigint;
COMMENT ON COLUMN api_keys.prices_per_s IS 'price queries a second in each API instance; null: without a limit';
"""


def upgrade() -> None:
    """Add the column."""
    op.execute(SCHEMA.replace(":", "\\:"))
