"""The data of an older release is there after a migration, under the new names."""

from collections.abc import Callable

import psycopg
from psycopg.rows import dict_row

from shared.postgres import migrations
from shared.settings import Settings

BEFORE = """
INSERT INTO products (product_id, name, category, currency, base_price) VALUES ('P-1', 'A', 'toys', 'USD', 10);
INSERT INTO signals (product_id, kind, source, value, time, event_id)
    VALUES ('P-1', 'demand', 'web', 1.1, '2026-01-01T00:00:00Z', 'e');
INSERT INTO markets (code, multiplier, time, event_id) VALUES ('NY', 1.1, '2026-01-02T00:00:00Z', 'm');
INSERT INTO policies (document) VALUES ('{}');
INSERT INTO price_history
    (product_id, version, new_price, currency, cause, cause_id, policy_version, trace_id, at)
    VALUES ('P-1', 1, 10, 'USD', 'write', 'w', 1, '', '2026-01-03T00:00:00Z');
INSERT INTO imports (at, created, changed, unchanged, rejected) VALUES ('2026-01-04T00:00:00Z', 1, 0, 0, 0);
INSERT INTO tasks (task_id, kind, scope, status, kills) VALUES
    (gen_random_uuid(), 'publication', '{"product_ids": ["P-1"]}', 'queued', 2),
    (gen_random_uuid(), 'recalculation', '{}', 'succeeded', 0);
INSERT INTO run_partitions (task_id, number, first, size, kills) SELECT task_id, 0, '', 1, 1 FROM tasks LIMIT 1;
INSERT INTO paces (target, decided_at) VALUES ('P-1', '2026-01-05T00:00:00Z');
INSERT INTO market_events (source, id, type, status, product_id, market, time, data, received_at, kills) VALUES
    ('s', 'waits', 'demand_changed', 'received', 'P-1', NULL, '2026-01-06T00:00:00Z',
        '{"product_id": "P-1", "index": "1.2"}', '2026-01-07T00:00:00Z', 1),
    ('s', 'market', 'market_changed', 'received', NULL, 'NY', '2026-01-06T00:00:00Z',
        '{"market": "NY", "multiplier": "1.2"}', '2026-01-07T00:00:00Z', 0),
    ('s', 'done', 'demand_changed', 'applied', 'P-1', NULL, '2026-01-06T00:00:00Z', '{}', '2026-01-07T00:00:00Z', 0);
INSERT INTO market_events (source, id, type, time, data) VALUES
    ('s', 'everything', 'recalculation_requested', now(), '{}'),
    ('s', 'some', 'recalculation_requested', now(), '{"category": "toys"}');
"""


def test_renamed_tables_and_columns_keep_their_data(new_database: Callable[[], Settings]) -> None:
    settings = new_database()
    migrations.migrate(settings, "0004")
    with psycopg.connect(settings.database_url) as conn:
        conn.execute(BEFORE.encode())
    migrations.migrate(settings)

    def one(query: str) -> tuple[object, ...]:
        with psycopg.connect(settings.database_url, options="-c timezone=UTC") as conn:
            [row] = conn.execute(query.encode()).fetchall()
        return tuple(str(value) for value in row)

    assert one("SELECT occurred_at FROM signals")[0] == "2026-01-01 00:00:00+00:00"
    assert one("SELECT occurred_at FROM markets")[0] == "2026-01-02 00:00:00+00:00"
    assert one("SELECT recorded_at FROM price_history")[0] == "2026-01-03 00:00:00+00:00"
    assert one("SELECT recorded_at FROM imports")[0] == "2026-01-04 00:00:00+00:00"
    assert one("SELECT product_set, crashes FROM tasks WHERE kind = 'cache_sync'") == ("{'product_ids': ['P-1']}", "2")
    assert one("SELECT crashes FROM run_partitions") == ("1",)
    assert one("SELECT occurred_at, recorded_at, target FROM market_events WHERE id = 'waits'") == (
        *("2026-01-06 00:00:00+00:00", "2026-01-07 00:00:00+00:00"),
        "P-1",
    )


def test_work_that_waits_is_done_after_the_migration(new_database: Callable[[], Settings]) -> None:
    settings = new_database()
    migrations.migrate(settings, "0004")
    with psycopg.connect(settings.database_url) as conn:
        conn.execute(BEFORE.encode())
    migrations.migrate(settings)
    with psycopg.Connection.connect(settings.database_url, row_factory=dict_row) as conn:
        due = conn.execute("SELECT target FROM repricing_queue WHERE due_at <= now() ORDER BY target").fetchall()
        requested = conn.execute(
            "SELECT e.id, e.status, t.product_set FROM market_events e JOIN tasks t USING (task_id)"
            " WHERE t.kind = 'recalculation' AND t.status = 'queued' ORDER BY e.id"
        ).fetchall()
    assert [row["target"] for row in due] == ["#NY", "P-1"]
    assert [(row["id"], row["status"], row["product_set"]) for row in requested] == [
        ("everything", "applied", {}),
        ("some", "applied", {"categories": ["toys"]}),
    ]
