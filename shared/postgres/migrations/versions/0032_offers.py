"""Revocations of offers: all that were made before an instant."""

from alembic import op

revision = "0032"
down_revision = "0031"

SCHEMA = """
CREATE TABLE offer_revocations (
    revocation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    revoked_before timestamptz NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE offer_revocations IS 'rows are only added; the latest revoked_before counts';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA.replace(":", "\\:"))
