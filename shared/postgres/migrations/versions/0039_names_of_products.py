"""An index of the products' names, by which the console sorts its list."""

from alembic import op

revision = "0039"
down_revision = "0038"

INDEX = "CREATE INDEX products_by_name ON products (name, product_id)"


def upgrade() -> None:
    """Create the index."""
    op.execute(INDEX)
