"""Imports have ids, and deletions have causes, so that both can be undone."""

from alembic import op

revision = "0035"
down_revision = "0034"

SCHEMA = """
ALTER TABLE imports ADD COLUMN import_id text;
ALTER TABLE imports ADD COLUMN began_at timestamptz;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX imports_by_id ON imports (import_id);
COMMENT ON COLUMN imports.import_id IS 'the cause in the price history; null: of a release before';
COMMENT ON COLUMN imports.began_at IS 'nothing that it wrote is older';
"""

# As in 0025. `pricing.trace_id`, `pricing.cause` and `pricing.cause_id` are set by the one who deletes.
DELETION = """
CREATE OR REPLACE FUNCTION delete_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH deleted AS (DELETE FROM prices WHERE product_id = OLD.product_id
        RETURNING product_id, version, published_price, policy_version, sheet),
    marked AS (
        INSERT INTO deleted_prices AS d (product_id, version) SELECT product_id, version + 1 FROM deleted
        ON CONFLICT (product_id) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at),
    logged AS (
        INSERT INTO changes (type, data)
        SELECT 'prices', json_build_array(json_build_array(product_id, version + 1, OLD.currency,
            published_price::text, NULL, OLD.category)) FROM deleted)
    INSERT INTO price_history (product_id, version, old_price, currency, cause, cause_id, policy_version, trace_id,
        recorded_at, old_sheet)
    SELECT product_id, version + 1, published_price, OLD.currency,
        coalesce(nullif(current_setting('pricing.cause', true), ''), 'deletion'),
        coalesce(current_setting('pricing.cause_id', true), ''), policy_version,
        coalesce(current_setting('pricing.trace_id', true), ''), clock_timestamp(), convert_to(sheet, 'UTF8')
    FROM deleted;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    """Add the columns, and let deletions name their cause."""
    op.execute(SCHEMA)
    op.execute(DELETION.replace(":", "\\:"))
