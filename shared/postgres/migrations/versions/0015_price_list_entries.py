"""Entries of price lists, by list and revision."""

from alembic import op

revision = "0015"
down_revision = "0014"

SCHEMA = """
CREATE TABLE price_list_entries (
    list_id text NOT NULL,
    revision bigint NOT NULL,
    product_id text NOT NULL,
    customer_id text NOT NULL DEFAULT '',
    ordinal bigint NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (product_id, customer_id, list_id, revision, ordinal)
);
CREATE INDEX price_list_entries_by_list ON price_list_entries (list_id, revision, product_id, customer_id, ordinal);
CREATE INDEX price_list_entries_by_customer ON price_list_entries (customer_id) WHERE customer_id <> '';
COMMENT ON COLUMN price_list_entries.customer_id IS 'empty: everyone';
COMMENT ON COLUMN price_list_entries.ordinal IS 'keeps apart the entries of one product, customer and list';
COMMENT ON COLUMN price_list_entries.document IS 'as sheets hold it, and its window as written';

CREATE TABLE price_list_revisions (
    list_id text PRIMARY KEY,
    revision bigint NOT NULL,
    in_force bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN price_list_revisions.in_force IS 'as the list''s header says';
COMMENT ON TABLE price_list_revisions IS 'the latest revision of each list; none is used twice';
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(SCHEMA)
