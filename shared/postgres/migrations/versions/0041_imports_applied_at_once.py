"""Plans that apply themselves when they are ready, and the key of an import: with four eyes another one applies it."""

from alembic import op

revision = "0041"
down_revision = "0040"

SCHEMA = """
ALTER TABLE plans ADD COLUMN applies boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN plans.applies IS 'a person asked for the application with the plan';
ALTER TABLE staged_imports ADD COLUMN key_id bigint;
"""


def upgrade() -> None:
    """Add the columns; processes of the release before leave them out."""
    op.execute(SCHEMA)
