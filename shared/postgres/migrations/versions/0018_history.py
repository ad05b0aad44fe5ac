"""The price history by months, with the sheet that each change replaced.

The table before becomes the default partition of the new one, under the same name for processes of the version before:
their rows lack `old_sheet`, and are otherwise as ever. No row is copied. The listener moves the rows of the current
month into a partition of their own; older rows stay until their time is over.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

TABLE = """
-- squawk-ignore-file renaming-table, ban-drop-constraint, ban-drop-not-null
ALTER TABLE price_history RENAME TO price_history_default;
ALTER TABLE price_history_default DROP CONSTRAINT price_history_pkey;
ALTER TABLE price_history_default ALTER new_price DROP NOT NULL;
ALTER TABLE price_history_default ADD COLUMN old_sheet bytea;
CREATE TABLE price_history (LIKE price_history_default) PARTITION BY RANGE (recorded_at);
CREATE UNIQUE INDEX price_history_by_product ON price_history (product_id, recorded_at, version);
ALTER TABLE price_history ATTACH PARTITION price_history_default DEFAULT;
COMMENT ON TABLE price_history_default IS 'rows of months that have no partition; the listener moves them';
COMMENT ON COLUMN price_history.old_price IS 'null: there was no price';
COMMENT ON COLUMN price_history.new_price IS 'null: the product was deleted';
COMMENT ON COLUMN price_history.old_sheet IS
    'the sheet until then: shared/prices/packing.py packs it, a deletion stores it as it is; null: none, or not kept';
"""

# `pricing.trace_id` is set by the one who deletes.
DELETION = """
CREATE OR REPLACE FUNCTION delete_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH deleted AS (DELETE FROM prices WHERE product_id = OLD.product_id
        RETURNING product_id, version, published_price, policy_version, sheet),
    marked AS (
        INSERT INTO deleted_prices AS d (product_id, version) SELECT product_id, version + 1 FROM deleted
        ON CONFLICT (product_id) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at)
    INSERT INTO price_history (product_id, version, old_price, currency, cause, cause_id, policy_version, trace_id,
        recorded_at, old_sheet)
    SELECT product_id, version + 1, published_price, OLD.currency, 'deletion', '', policy_version,
        coalesce(current_setting('pricing.trace_id', true), ''), clock_timestamp(), convert_to(sheet, 'UTF8')
    FROM deleted;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    """Replace the table, and let deletions be versions."""
    op.execute(TABLE)
    op.execute(DELETION.replace(":", "\\:"))
