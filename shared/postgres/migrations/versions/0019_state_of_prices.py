"""The state of each price, the next instant at which it is due, and the shipping and expiry of signals."""

from alembic import op

revision = "0019"
down_revision = "0018"

# Nullable without a default: no row is rewritten. Processes of the version before leave the columns alone.
SCHEMA = """
ALTER TABLE signals ADD COLUMN shipping numeric, ADD COLUMN expires_at timestamptz;
ALTER TABLE prices ADD COLUMN state text, ADD COLUMN next_due timestamptz;
COMMENT ON COLUMN prices.state IS 'JSON of shared/prices/states.py; NULL: only the price in force is known';
COMMENT ON COLUMN prices.next_due IS 'the next instant at which an input of the decision changes by itself';
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(SCHEMA.replace(":", "\\:"))
