"""The schema: from nothing, again, and by several at once."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shared.commands import demo
from shared.postgres import migrations, pools
from shared.rulebook import store as rulebook
from shared.rulebook import values
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
TABLES = {
    "products",
    "signals",
    "markets",
    "market_values",
    "policies",
    "rulebooks",
    "prices",
    "holds",
    "pauses",
    "breaker",
    "breaker_moves",
    "price_history",
    "price_history_default",
    "imported_prices",
    "imported_prices_default",
    "market_events",
    "tasks",
    "run_partitions",
    "repricing_queue",
    "api_keys",
    "audit_log",
    "audit_log_default",
    "epoch",
    "deleted_prices",
    "price_list_entries",
    "price_list_revisions",
    "former_revisions",
    "edited_entries",
    "idempotency_keys",
    "alembic_version",
}


def tables(settings: Settings) -> set[str]:
    with psycopg.connect(settings.database_url) as conn:
        return {row[0] for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def revisions(settings: Settings) -> list[str]:
    with psycopg.connect(settings.database_url) as conn:
        return [row[0] for row in conn.execute("SELECT version_num FROM alembic_version")]


def test_the_schema_comes_from_nothing_and_again_is_nothing(new_database: Callable[[], Settings]) -> None:
    settings = new_database()
    assert tables(settings) == set()
    migrations.migrate(settings)
    assert tables(settings) >= TABLES
    before = revisions(settings)
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("INSERT INTO markets (code, multiplier) VALUES ('X', 1)")
    migrations.migrate(settings)
    assert revisions(settings) == before
    with psycopg.connect(settings.database_url) as conn:
        assert conn.execute("SELECT code FROM markets").fetchall() == [("X",)]


def test_every_form_of_an_address_leads_to_the_same_database(new_database: Callable[[], Settings]) -> None:
    settings = new_database()
    known = conninfo_to_dict(settings.database_url)
    several = known | {"host": "127.0.0.1,127.0.0.1", "port": f"1,{known['port']}"}
    rest = settings.database_url.partition("://")[2]
    for address in (f"postgres://{rest}", make_conninfo("", **known), make_conninfo("", **several)):
        one = msgspec.structs.replace(settings, database_url=address)
        migrations.migrate(one)
        with pools.connect(one, "tests") as conn:
            assert conn.execute("SELECT count(*) AS count FROM alembic_version").fetchone() == {"count": 1}
        pool = pools.pool(one, "tests", size=1)
        with pool, pool.connection() as conn:
            assert conn.execute("SELECT count(*) AS count FROM products").fetchone() == {"count": 0}
        with pools.connect(settings, "tests") as conn:
            conn.execute("DROP SCHEMA public CASCADE")
            conn.execute("CREATE SCHEMA public")


def test_several_who_migrate_at_once_end_with_one_schema(new_database: Callable[[], Settings], tmp_path: Path) -> None:
    settings = new_database()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    environ |= {"PRICING_HOME": str(tmp_path / "home"), "PRICING_DATABASE_URL": settings.database_url}
    command = [sys.executable, "-m", "shared.commands", "migrate"]
    running = [subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE) for _ in range(3)]
    outcomes = [(process.communicate()[1], process.returncode) for process in running]
    assert [code for _, code in outcomes] == [0, 0, 0], outcomes
    assert tables(settings) >= TABLES
    assert len(revisions(settings)) == 1
    with psycopg.connect(settings.database_url) as conn:
        assert conn.execute("SELECT count(*) FROM rulebooks").fetchone() == (1,)
        assert conn.execute("SELECT count(*) FROM market_values").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM api_keys").fetchone() == (1,)


def test_markets_of_the_demo_keep_the_figures_that_an_event_gave_them(new_database: Callable[[], Settings]) -> None:
    settings = new_database()
    migrations.migrate(settings)
    with pools.connect(settings, "tests") as conn:
        rulebook.ensure_default(conn)
        demo.ensure_markets(conn)
        before = values.apply_event(conn, "ny", Decimal(3), datetime.now(UTC), "e")
        demo.ensure_markets(conn)
        loaded = values.load(conn)
    assert loaded.version == before
    assert loaded.multipliers["ny"][-1].value == 3
