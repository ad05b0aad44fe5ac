"""The keys behind a hold: with four eyes another one approves it."""

from alembic import op

revision = "0040"
down_revision = "0039"

SCHEMA = """
ALTER TABLE market_events ADD COLUMN key_id bigint;
COMMENT ON COLUMN market_events.key_id IS 'the key that sent it over HTTP; null: none, it came by the channel';
ALTER TABLE tasks ADD COLUMN key_ids bigint[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN tasks.key_ids IS 'the keys that asked for a recalculation, or wrote the rules that it follows';
ALTER TABLE holds ADD COLUMN key_ids bigint[] NOT NULL DEFAULT '{}';
"""


def upgrade() -> None:
    """Add the columns; processes of the release before leave them out."""
    op.execute(SCHEMA)
