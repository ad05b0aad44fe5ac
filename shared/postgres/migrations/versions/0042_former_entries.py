"""The entries that a list had before: kept for some days, so that an undo finds them."""

from alembic import op

revision = "0042"
down_revision = "0041"

SCHEMA = """
CREATE TABLE former_revisions (
    list_id text PRIMARY KEY,
    revision bigint NOT NULL,
    replaced_by bigint NOT NULL,
    import_id text,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE former_revisions IS 'the last revision of each list that was in force before the present one';
COMMENT ON COLUMN former_revisions.import_id IS 'the import that replaced it; null: a request, or a deletion';
CREATE UNIQUE INDEX former_revisions_by_import ON former_revisions (import_id);
CREATE TABLE edited_entries (
    list_id text NOT NULL,
    revision bigint NOT NULL,
    product_id text NOT NULL,
    customer_id text NOT NULL,
    PRIMARY KEY (list_id, revision, product_id, customer_id)
);
COMMENT ON TABLE edited_entries IS 'whose entries were written since an import put their revision in force';
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(SCHEMA)
