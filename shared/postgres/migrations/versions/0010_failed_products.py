"""Products that a run could not decide: their number, and the first of them with their reasons."""

from alembic import op

revision = "0010"
down_revision = "0009"

# A constant default is stored once: no row is rewritten. Processes of the version before leave the columns alone.
SCHEMA = """
ALTER TABLE tasks
    ADD COLUMN failed bigint NOT NULL DEFAULT 0,
    ADD COLUMN failed_products jsonb NOT NULL DEFAULT '[]';
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(SCHEMA)
