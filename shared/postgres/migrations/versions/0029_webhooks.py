"""Webhooks: endpoints to which the log of changes is sent, each with its position in the log."""

from alembic import op

revision = "0029"
down_revision = "0028"

SCHEMA = """
CREATE TABLE webhooks (
    webhook_id text PRIMARY KEY,
    url text NOT NULL,
    types text[] NOT NULL,
    product_ids text[] NOT NULL,
    category text,
    secret text NOT NULL,
    former_secret text,
    former_until timestamptz,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    position bigint NOT NULL,
    batch_until bigint,
    attempt bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    failing_since timestamptz,
    last_error text,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    delivered_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    author text NOT NULL
);
COMMENT ON COLUMN webhooks.position IS 'every entry up to this id was delivered, or is not wanted';
COMMENT ON COLUMN webhooks.batch_until IS 'the end of the batch that failed, and is sent again as it was';
COMMENT ON COLUMN webhooks.attempt IS 'grows with each attempt and each write by a person; only the last one may end';
COMMENT ON COLUMN webhooks.due_at IS 'the time to enqueue a message';
COMMENT ON COLUMN webhooks.former_secret IS 'also signs, until former_until';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA.replace(":", "\\:"))
