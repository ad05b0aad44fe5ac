"""The rulebook by versions, and market values; policies and markets become parts of them.

`policies` and `markets` stay for processes of the version before, which run beside this one during a deploy. Triggers
carry their writes over, and write to the old tables what they must read. A later migration drops these two tables, the
triggers and their functions.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

SCHEMA = """
CREATE TABLE rulebooks (
    version bigint PRIMARY KEY,
    document jsonb NOT NULL,
    author text NOT NULL,
    cause text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX rulebooks_by_time ON rulebooks (at, version);

CREATE TABLE market_values (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('multiplier', 'exchange_rate')),
    key text NOT NULL,
    name text NOT NULL,
    value numeric CHECK (value > 0),
    since timestamptz NOT NULL,
    author text NOT NULL,
    cause text NOT NULL,
    cause_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX market_values_by_key ON market_values (kind, key, since, seq);
CREATE INDEX market_values_by_version ON market_values (version);
COMMENT ON COLUMN market_values.version IS 'one more with each write, of one or more rows';
COMMENT ON COLUMN market_values.key IS 'a market''s code without case and outer blanks, or two currencies: EUR/USD';
COMMENT ON COLUMN market_values.name IS 'the key as it was written';
COMMENT ON COLUMN market_values.value IS 'null: none from then on';
COMMENT ON COLUMN market_values.occurred_at IS
    'when the market changed; an event of an earlier time is superseded. A later one with the same value updates it';
"""

# Of codes that differ only in case the latest counts. The instants of the old multipliers are not known.
ROWS = """
CREATE TEMPORARY TABLE old_markets ON COMMIT DROP AS
SELECT DISTINCT ON (lower(btrim(code))) lower(btrim(code)) AS key, code, multiplier, occurred_at, event_id
FROM markets ORDER BY lower(btrim(code)), code = 'DEFAULT' DESC, occurred_at DESC, code;

INSERT INTO rulebooks (version, document, author, cause, at)
SELECT version, jsonb_build_object('policy', document, 'price_lists', '[]'::jsonb, 'promotions', '[]'::jsonb,
    'markets', jsonb_build_object('DEFAULT', '{}'::jsonb)
        || coalesce((SELECT jsonb_object_agg(code, '{}'::jsonb) FROM old_markets WHERE key <> 'default'), '{}')),
    '', 'policy', published_at
FROM policies;

INSERT INTO market_values (version, kind, key, name, value, since, author, cause, cause_id, occurred_at)
SELECT 1, 'multiplier', key, code, multiplier, '1970-01-01T00:00Z', '', 'migration', event_id,
    greatest(occurred_at, '1970-01-01T00:00Z')
FROM old_markets ORDER BY key;
"""

FROM_OLD = """
CREATE FUNCTION policy_becomes_rulebook() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest rulebooks;
    known jsonb;
BEGIN
    IF pg_trigger_depth() > 1 THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('pricing-rulebook'));
    SELECT * INTO newest FROM rulebooks ORDER BY version DESC LIMIT 1;
    NEW.version := coalesce(newest.version, 0) + 1;
    known := coalesce(newest.document->'policy', '{}');
    IF NEW.document->>'max_step' IS NOT NULL THEN
        known := known #- '{change_limits,max_step_up}' #- '{change_limits,max_step_down}';
    END IF;
    INSERT INTO rulebooks (version, document, author, cause, at)
    VALUES (NEW.version,
        jsonb_build_object('markets', jsonb_build_object('DEFAULT', '{}'::jsonb), 'price_lists', '[]'::jsonb,
            'promotions', '[]'::jsonb) || coalesce(newest.document, '{}')
            || jsonb_build_object('policy', known || NEW.document),
        '', 'policy', NEW.published_at);
    RETURN NEW;
END $$;
CREATE TRIGGER carried_over BEFORE INSERT ON policies FOR EACH ROW EXECUTE FUNCTION policy_becomes_rulebook();

CREATE FUNCTION lock_market_values() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pricing-market-values'));
    RETURN NULL;
END $$;
CREATE TRIGGER market_values_locked BEFORE INSERT OR UPDATE ON markets
    FOR EACH STATEMENT EXECUTE FUNCTION lock_market_values();

CREATE FUNCTION market_becomes_value() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        INSERT INTO market_values (version, kind, key, name, value, since, author, cause, cause_id, occurred_at)
        SELECT coalesce(max(version), 0) + 1, 'multiplier', lower(btrim(NEW.code)), NEW.code, NEW.multiplier,
            clock_timestamp(), '', 'event', NEW.event_id, greatest(NEW.occurred_at, '1970-01-01T00:00Z')
        FROM market_values;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER carried_over AFTER INSERT OR UPDATE ON markets
    FOR EACH ROW EXECUTE FUNCTION market_becomes_value();
"""

# A process of the version before refuses fields of the policy that it does not have.
TO_OLD = """
CREATE FUNCTION rulebook_becomes_policy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        INSERT INTO policies (version, document, published_at) OVERRIDING SYSTEM VALUE
        SELECT NEW.version, jsonb_object_agg(key, CASE key WHEN 'strategies' THEN (
            SELECT jsonb_object_agg(name, jsonb_build_object('demand', rules->'demand', 'competitor', (
                SELECT jsonb_object_agg(field, figure)
                FROM jsonb_each(nullif(rules->'competitor', 'null')) AS c (field, figure)
                WHERE field IN ('undercut', 'lowest', 'highest'))))
            FROM jsonb_each(value) AS s (name, rules)) ELSE value END), NEW.at
        FROM jsonb_each(NEW.document->'policy')
        WHERE key IN ('membership_rate', 'rounding', 'max_step', 'max_over_list', 'min_margin', 'strategies',
            'categories', 'default_strategy');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER carried_over AFTER INSERT ON rulebooks FOR EACH ROW EXECUTE FUNCTION rulebook_becomes_policy();

CREATE FUNCTION value_becomes_market() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() > 1 OR NEW.kind <> 'multiplier' THEN
        RETURN NULL;
    END IF;
    DELETE FROM markets WHERE lower(btrim(code)) = lower(NEW.key) AND (NEW.value IS NULL OR code <> NEW.name)
        AND code <> 'DEFAULT';
    IF NEW.value IS NOT NULL OR lower(NEW.key) = 'default' THEN
        INSERT INTO markets AS m (code, multiplier, occurred_at, event_id)
        VALUES (CASE WHEN lower(NEW.key) = 'default' THEN 'DEFAULT' ELSE NEW.name END, coalesce(NEW.value, 1),
            NEW.occurred_at, NEW.cause_id)
        ON CONFLICT (code) DO UPDATE SET multiplier = excluded.multiplier, version = m.version + 1,
            occurred_at = excluded.occurred_at, event_id = excluded.event_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER carried_over AFTER INSERT ON market_values FOR EACH ROW EXECUTE FUNCTION value_becomes_market();
"""


def upgrade() -> None:
    """Create the tables, fill them, and keep both sides equal from now on."""
    for statements in (SCHEMA, ROWS, FROM_OLD, TO_OLD):
        op.execute(statements.replace(":", "\\:"))
