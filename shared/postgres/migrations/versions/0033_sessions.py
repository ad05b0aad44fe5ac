"""Sessions of the console."""

from alembic import op

revision = "0033"
down_revision = "0032"

SCHEMA = """
CREATE TABLE sessions (
    token_hash text PRIMARY KEY,
    key_id bigint NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    is_link boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE sessions IS 'sessions of the console, and links that begin one, once; the tokens are stored as hashes';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA)
