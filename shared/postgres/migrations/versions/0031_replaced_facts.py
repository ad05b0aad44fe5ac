"""The facts, manual prices and entries that plans and imports replaced, so that an undo finds them."""

from alembic import op

revision = "0031"
down_revision = "0030"

SCHEMA = """
CREATE TABLE replaced_facts (
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    cause_id text NOT NULL,
    product_id text NOT NULL,
    kind text NOT NULL,
    list_id text NOT NULL DEFAULT '',
    customer_id text NOT NULL DEFAULT '',
    old text,
    new text
) PARTITION BY RANGE (replaced_at);
CREATE INDEX replaced_facts_by_cause ON replaced_facts (cause_id, product_id);
CREATE TABLE replaced_facts_default PARTITION OF replaced_facts DEFAULT;
COMMENT ON COLUMN replaced_facts.cause_id IS 'the plan or the import that wrote';
COMMENT ON COLUMN replaced_facts.kind IS 'product, manual_price or entries; the latter of a list and a customer';
COMMENT ON COLUMN replaced_facts.old IS 'JSON: of a product the fields that changed; null: there was none';
COMMENT ON COLUMN replaced_facts.new IS 'the same after the write';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(SCHEMA)
