"""The first schema: catalogue, prices, events and tasks."""

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE products (
    product_id text PRIMARY KEY,
    name text NOT NULL,
    category text NOT NULL,
    currency char(3) NOT NULL,
    base_price numeric NOT NULL CHECK (base_price >= 0),
    cost numeric CHECK (cost >= 0),
    stock integer CHECK (stock >= 0),
    min_price numeric CHECK (min_price >= 0),
    max_price numeric CHECK (max_price >= 0),
    strategy text,
    tiers jsonb NOT NULL DEFAULT '[]',
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX products_by_category ON products (category, product_id);

-- A register per (product, kind, who says so): the later (time, event_id) wins, whatever the order.
CREATE TABLE signals (
    product_id text NOT NULL REFERENCES products ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('competitor', 'demand', 'stock', 'cost')),
    source text NOT NULL,
    value numeric NOT NULL,
    currency char(3),
    in_stock boolean NOT NULL DEFAULT true,
    time timestamptz NOT NULL,
    event_id text NOT NULL,
    PRIMARY KEY (product_id, kind, source)
);

CREATE TABLE markets (
    code text PRIMARY KEY,
    multiplier numeric NOT NULL CHECK (multiplier BETWEEN 0.01 AND 100),
    version bigint NOT NULL DEFAULT 1,
    time timestamptz NOT NULL DEFAULT '-infinity',
    event_id text NOT NULL DEFAULT ''
);

CREATE TABLE policies (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document jsonb NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The published prices. `sheet` is the JSON that Redis holds; `version` grows with each change of it.
CREATE TABLE prices (
    product_id text PRIMARY KEY REFERENCES products ON DELETE CASCADE,
    version bigint NOT NULL,
    policy_version bigint NOT NULL REFERENCES policies,
    published_price numeric NOT NULL,
    computed_at timestamptz NOT NULL,
    cause text NOT NULL,
    cause_id text NOT NULL,
    sheet text NOT NULL
);

CREATE TABLE price_history (
    product_id text NOT NULL,
    version bigint NOT NULL,
    old_price numeric,
    new_price numeric NOT NULL,
    currency char(3) NOT NULL,
    cause text NOT NULL,
    cause_id text NOT NULL,
    policy_version bigint NOT NULL,
    trace_id text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (product_id, version)
);

CREATE TABLE tasks (
    task_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('recalculation', 'publication')),
    scope jsonb NOT NULL,
    follow_up boolean NOT NULL DEFAULT false,
    status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'running', 'succeeded', 'skipped', 'failed', 'aborted')),
    done integer NOT NULL DEFAULT 0,
    total integer,
    changed integer NOT NULL DEFAULT 0,
    cursor text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0,
    result jsonb,
    error jsonb,
    abort_requested boolean NOT NULL DEFAULT false,
    traceparent text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    enqueued_at timestamptz,
    started_at timestamptz,
    lease_until timestamptz,
    finished_at timestamptz
);
CREATE UNIQUE INDEX one_running_recalculation ON tasks (kind) WHERE kind = 'recalculation' AND status = 'running';
CREATE UNIQUE INDEX one_follow_up ON tasks (kind) WHERE follow_up AND status = 'queued';
CREATE INDEX merged_tasks ON tasks ((result->>'merged_into')) WHERE status = 'skipped';
CREATE INDEX unended_tasks ON tasks (created_at) WHERE status IN ('queued', 'running');

-- `outcome` is decided with the price, `status` follows once the sheet is in Redis.
CREATE TABLE market_events (
    source text NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    status text NOT NULL DEFAULT 'received'
        CHECK (status IN ('received', 'applied', 'superseded', 'rejected', 'failed')),
    outcome text,
    reason text,
    product_id text,
    market text,
    time timestamptz NOT NULL,
    data jsonb NOT NULL,
    raw text,
    attempts integer NOT NULL DEFAULT 0,
    task_id uuid,
    version bigint,
    traceparent text NOT NULL DEFAULT '',
    tracestate text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    enqueued_at timestamptz,
    applied_at timestamptz,
    PRIMARY KEY (source, id)
);
CREATE INDEX waiting_events ON market_events (received_at) WHERE status = 'received';
CREATE INDEX waiting_events_by_product ON market_events (product_id) WHERE status = 'received';
CREATE INDEX events_by_id ON market_events (id);

CREATE TABLE api_keys (
    key_hash text PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
"""


def upgrade() -> None:
    """Create every table."""
    op.execute(SCHEMA.replace(":", "\\:"))
