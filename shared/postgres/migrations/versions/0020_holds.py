"""Holds: targets that wait for a person."""

from alembic import op

revision = "0020"
down_revision = "0019"

# squawk knows no new table whose constraint needs no check.
SCHEMA = """
CREATE TABLE holds (
    hold_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id text NOT NULL,
    currency text NOT NULL,
    price numeric NOT NULL,
    target numeric NOT NULL,
    code text NOT NULL CHECK (code IN ('hold_above', 'below_cost', 'breaker')),
    reason text NOT NULL,
    since timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'approved', 'refused', 'expired', 'replaced')),
    answer text,
    author text,
    ended_at timestamptz
);
COMMENT ON COLUMN holds.answer IS 'the reason of the person who approved or refused it';
CREATE UNIQUE INDEX open_holds ON holds (product_id) WHERE status = 'open';
CREATE INDEX holds_by_status ON holds (status, since, hold_id);
CREATE INDEX ended_holds ON holds (ended_at) WHERE ended_at IS NOT NULL;
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA.replace(":", "\\:"))
