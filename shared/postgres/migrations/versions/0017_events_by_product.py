"""An index of the list of market events, by product."""

from alembic import op

revision = "0017"
down_revision = "0016"

INDEXES = """
CREATE INDEX market_events_by_product ON market_events (product_id, recorded_at, source, id)
    WHERE product_id IS NOT NULL;
"""


def upgrade() -> None:
    """Create the index."""
    op.execute(INDEXES)
