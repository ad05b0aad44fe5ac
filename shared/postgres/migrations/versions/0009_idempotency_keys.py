"""Idempotency keys: the answers to writes, for a day."""

from alembic import op

revision = "0009"
down_revision = "0008"

SCHEMA = """
CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    path text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    claim bigint NOT NULL DEFAULT 1,
    lease_until timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    status bigint,
    headers jsonb,
    body bytea,
    PRIMARY KEY (caller, path, key)
);
CREATE INDEX expired_idempotency_keys ON idempotency_keys (expires_at);
COMMENT ON COLUMN idempotency_keys.caller IS 'the hash of the API key, or the address';
COMMENT ON COLUMN idempotency_keys.claim IS 'grows when a crashed claim is taken over; an older one keeps no answer';
COMMENT ON COLUMN idempotency_keys.status IS 'null: the request still runs, or its process crashed';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA)
