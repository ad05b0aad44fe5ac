"""Plans: proposed changes with their measured effect."""

from alembic import op

revision = "0026"
down_revision = "0025"

SCHEMA = """
-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid
CREATE TABLE plans (
    plan_id uuid PRIMARY KEY,
    author text NOT NULL,
    key_id bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changes jsonb NOT NULL,
    options jsonb NOT NULL DEFAULT '{}',
    rulebook_version bigint NOT NULL,
    values_version bigint NOT NULL,
    task_id uuid NOT NULL,
    ready_at timestamptz,
    inputs_hash text,
    result jsonb,
    apply_task_id uuid,
    applied_version bigint,
    applied_by text,
    applied_at timestamptz,
    discarded_at timestamptz
);
CREATE UNIQUE INDEX plans_by_task ON plans (task_id);
CREATE UNIQUE INDEX plans_by_application ON plans (apply_task_id);
CREATE INDEX plans_by_time ON plans (created_at, plan_id);
COMMENT ON COLUMN plans.rulebook_version IS 'the rulebook that the plan changes';
COMMENT ON COLUMN plans.applied_version IS 'the rulebook that its application made';

CREATE TABLE plan_parts (
    plan_id uuid NOT NULL,
    number bigint NOT NULL,
    first text NOT NULL,
    before text,
    as_of timestamptz NOT NULL,
    product_ids text[] NOT NULL,
    versions bigint[] NOT NULL,
    sums jsonb NOT NULL,
    PRIMARY KEY (plan_id, number)
);
COMMENT ON TABLE plan_parts IS 'one row for each partition of a plan: product_id >= first and < before';
COMMENT ON COLUMN plan_parts.versions IS 'the versions of the sheets that it read; 0: none';

CREATE TABLE plan_items (
    planned_at timestamptz NOT NULL,
    plan_id uuid NOT NULL,
    product_id text NOT NULL,
    market text NOT NULL DEFAULT '',
    category text NOT NULL,
    currency text NOT NULL,
    old_price numeric,
    new_price numeric,
    change numeric NOT NULL,
    held numeric,
    bound text,
    redecided numeric
) PARTITION BY RANGE (planned_at);
CREATE INDEX plan_items_by_product ON plan_items (plan_id, product_id, market);
CREATE TABLE plan_items_default PARTITION OF plan_items DEFAULT;
COMMENT ON TABLE plan_items_default IS 'rows of months that have no partition; the listener moves them';
COMMENT ON COLUMN plan_items.planned_at IS 'the time of the plan';
COMMENT ON COLUMN plan_items.market IS 'empty: the published price; else the public price in this market';
COMMENT ON COLUMN plan_items.change IS 'the share of the old price';
COMMENT ON COLUMN plan_items.held IS 'the target that waits for a person';
COMMENT ON COLUMN plan_items.redecided IS 'the price that the application published in place of the planned one';

ALTER TABLE tasks DROP CONSTRAINT tasks_kind_check;
ALTER TABLE tasks ADD CONSTRAINT tasks_kind_check CHECK (kind IN ('recalculation', 'cache_sync', 'plan', 'apply'))
    NOT VALID;
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(SCHEMA.replace(":", "\\:"))
