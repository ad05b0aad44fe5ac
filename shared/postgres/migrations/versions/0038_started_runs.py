"""An index of the recalculations by their start: a queued one looks for later ones under a lock."""

from alembic import op

revision = "0038"
down_revision = "0037"

INDEX = "CREATE INDEX recalculations_by_start ON tasks (started_at) WHERE kind = 'recalculation'"


def upgrade() -> None:
    """Create the index."""
    op.execute(INDEX)
