"""The database's epoch, and the versions of deleted products.

An epoch is one uninterrupted history of the data. It ends when the data goes back: after a restore, after a failover.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = """
CREATE TABLE epoch (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    number bigint NOT NULL,
    identity text NOT NULL,
    beat bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN epoch.number IS 'the epoch, where identity is still database_identity(); 0 until the first change';
COMMENT ON COLUMN epoch.beat IS 'grows every second while a listener runs; where it goes back, so did the data';

CREATE TABLE deleted_prices (
    product_id text PRIMARY KEY,
    version bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE deleted_prices IS 'versions that the deletion of products took; a product created again goes on there';
"""

# A dump brings the row of `epoch` with it, but into other objects: of another cluster, or with other numbers. A
# failover and a recovery to a point in time begin another timeline.
IDENTITY = """
CREATE FUNCTION database_identity() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    cluster text := 'hidden';
    timeline text := 'standby';
BEGIN
    IF has_function_privilege('pg_control_system()', 'EXECUTE') THEN
        SELECT system_identifier INTO cluster FROM pg_control_system();
    END IF;
    IF NOT pg_is_in_recovery() THEN
        timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
    END IF;
    RETURN concat_ws('/', cluster, timeline, (SELECT oid FROM pg_database WHERE datname = current_database()),
        'prices'::regclass::oid);
END $$;

CREATE FUNCTION current_epoch() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    actual text := database_identity();
    known record;
BEGIN
    SELECT number, identity INTO known FROM epoch;
    RETURN CASE WHEN known.identity = actual THEN known.number
        ELSE hashtextextended(actual, coalesce(known.number, 0)) & 9223372036854775807 END;
END $$;

INSERT INTO epoch (number, identity) VALUES (0, database_identity());
"""

# A deletion takes the next version, so that its mark in the cache wins over the product's last sheet.
DELETION = """
CREATE OR REPLACE FUNCTION delete_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH deleted AS (DELETE FROM prices WHERE product_id = OLD.product_id RETURNING product_id, version)
    INSERT INTO deleted_prices AS d (product_id, version) SELECT product_id, version + 1 FROM deleted
    ON CONFLICT (product_id) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    """Add both tables, and the functions."""
    for statements in (SCHEMA, IDENTITY, DELETION):
        op.execute(statements.replace(":", "\\:"))
