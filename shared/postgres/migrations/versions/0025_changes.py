"""The log of changes, and triggers that write all entries but those of new price sheets.

A trigger writes its entry in the transaction of the change, whichever code makes the change.
"""

from alembic import op

revision = "0025"
down_revision = "0024"

TABLES = """
CREATE SEQUENCE changes_seq AS bigint;
CREATE TABLE changes (
    seq bigint NOT NULL DEFAULT nextval('changes_seq'),
    change_id bigint,
    type text NOT NULL,
    data text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (recorded_at);
ALTER TABLE changes ALTER data SET STORAGE EXTERNAL;
CREATE TABLE changes_default PARTITION OF changes DEFAULT;
CREATE INDEX changes_by_id ON changes (change_id) WHERE change_id IS NOT NULL;
CREATE INDEX changes_without_id ON changes (seq) WHERE change_id IS NULL;
COMMENT ON COLUMN changes.seq IS 'in the order of writing; transactions commit in another order';
COMMENT ON COLUMN changes.change_id IS 'NULL until the listener gives committed entries their ids, one after the other';
COMMENT ON COLUMN changes.data IS 'JSON; its form by type is in shared/changes/entries.py';

CREATE INDEX market_values_to_come ON market_values (since) WHERE since > recorded_at;

CREATE TABLE change_log (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_id bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT current_epoch(),
    edges_until timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO change_log DEFAULT VALUES;
COMMENT ON COLUMN change_log.last_id IS 'the last change_id; its row is locked while ids are given';
COMMENT ON COLUMN change_log.epoch IS 'of last_id; in another epoch the ids jump ahead of all that were given';
COMMENT ON COLUMN change_log.edges_until IS 'window edges up to this instant are in the log';
"""

TRIGGERS = """
CREATE FUNCTION log_rulebook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (type, data)
    VALUES ('rules', json_build_object('rulebook_version', NEW.version, 'values_version', NULL));
    RETURN NULL;
END $$;
CREATE TRIGGER logged AFTER INSERT ON rulebooks FOR EACH ROW EXECUTE FUNCTION log_rulebook();

CREATE FUNCTION log_market_values() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (type, data)
    SELECT 'rules', json_build_object('rulebook_version', NULL, 'values_version', max(version)) FROM written
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER logged AFTER INSERT ON market_values REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION log_market_values();

CREATE FUNCTION log_new_holds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (type, data)
    SELECT 'hold', json_agg(json_build_object('hold_id', hold_id, 'product_id', product_id, 'status', status,
        'code', code, 'currency', currency, 'price', price::text, 'target', target::text) ORDER BY product_id)
    FROM written HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER logged AFTER INSERT ON holds REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION log_new_holds();

CREATE FUNCTION log_ended_holds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (type, data)
    SELECT 'hold', json_agg(json_build_object('hold_id', hold_id, 'product_id', product_id, 'status', n.status,
        'code', n.code, 'currency', n.currency, 'price', n.price::text, 'target', n.target::text) ORDER BY product_id)
    FROM after n JOIN before o USING (hold_id, product_id) WHERE n.status <> o.status HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER logged_end AFTER UPDATE ON holds REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION log_ended_holds();

CREATE FUNCTION log_breaker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (type, data)
    VALUES ('breaker', json_build_object('is_open', NEW.is_open, 'reason', NEW.reason, 'author', NEW.author));
    RETURN NULL;
END $$;
CREATE TRIGGER logged AFTER UPDATE ON breaker FOR EACH ROW
    WHEN (OLD.is_open IS DISTINCT FROM NEW.is_open) EXECUTE FUNCTION log_breaker();

CREATE FUNCTION log_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (type, data)
    VALUES ('job', json_build_object('task_id', NEW.task_id, 'kind', NEW.kind, 'status', NEW.status));
    RETURN NULL;
END $$;
CREATE TRIGGER logged AFTER UPDATE OF status ON tasks FOR EACH ROW
    WHEN (NEW.status IN ('succeeded', 'skipped', 'failed', 'aborted') AND NEW.status <> OLD.status
        AND NEW.kind <> 'cache_sync') EXECUTE FUNCTION log_job();
"""

# As in 0018, with the entry.
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
    SELECT product_id, version + 1, published_price, OLD.currency, 'deletion', '', policy_version,
        coalesce(current_setting('pricing.trace_id', true), ''), clock_timestamp(), convert_to(sheet, 'UTF8')
    FROM deleted;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    """Create the tables, and let changes be entries."""
    for statements in (TABLES, TRIGGERS, DELETION):
        op.execute(statements.replace(":", "\\:"))
