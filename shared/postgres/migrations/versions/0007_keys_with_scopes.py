"""API keys have an id, scopes, an expiry and a time of last use; keys made before may do everything."""

from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = """
ALTER TABLE api_keys
    -- squawk-ignore adding-field-with-default -- a handful of rows
    ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{admin}',
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN created_by text NOT NULL DEFAULT 'start',
    ADD COLUMN started_at timestamptz;
CREATE UNIQUE INDEX api_keys_by_id ON api_keys (id);
COMMENT ON COLUMN api_keys.scopes IS 'what the key may do; the default is for processes of the release before';
COMMENT ON COLUMN api_keys.last_used_at IS 'written in batches, some seconds late';
COMMENT ON COLUMN api_keys.created_by IS 'start: the admin key of a start; just; or key and the id of the key';
COMMENT ON COLUMN api_keys.started_at IS 'of admin keys: the last start that was given this key';
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(SCHEMA.replace(":", "\\:"))
