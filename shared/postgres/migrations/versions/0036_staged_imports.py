"""Imports that wait: the checked rows of a file, for a plan."""

from alembic import op

revision = "0036"
down_revision = "0035"

SCHEMA = """
CREATE TABLE staged_imports (
    import_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    author text NOT NULL,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    unchanged bigint NOT NULL,
    rejected bigint NOT NULL
);
CREATE INDEX staged_imports_by_time ON staged_imports (created_at);
CREATE TABLE staged_products (
    import_id uuid NOT NULL,
    product_id text NOT NULL,
    facts text NOT NULL,
    PRIMARY KEY (import_id, product_id)
);
COMMENT ON COLUMN staged_products.facts IS 'JSON: the product as the import writes it';
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(SCHEMA)
