"""The SQL of migrations, and how it is linted."""

import pytest

from shared.postgres import migrations
from tests.support.migration_lint import faults

RENAMING = "ALTER TABLE products RENAME COLUMN name TO title;"


def migration(statements: str) -> dict[str, str]:
    return {"0099_new": f"BEGIN;\nSET LOCAL lock_timeout = '10s';\n{statements}\nCOMMIT;\n"}


def test_the_statements_are_those_of_each_later_migration_in_its_order() -> None:
    written = dict(migrations.statements(since="0002"))
    assert list(written)[:2] == ["0003_partitions", "0004_seen_by_operators"]
    assert "CREATE TABLE run_partitions" in written["0003_partitions"]
    assert "CREATE TABLE imports" not in written["0003_partitions"]


def test_a_migrations_wait_for_a_table_is_bounded() -> None:
    for statements in dict(migrations.statements(since="0002")).values():
        assert statements.index("SET LOCAL lock_timeout") < statements.index("-- Running upgrade")


@pytest.mark.parametrize(
    ("statements", "rule"),
    [(RENAMING, "renaming-column"), ("ALTER TABLE products ADD COLUMN size int NOT NULL;", "adding-required-field")],
)
def test_what_breaks_a_running_engine_is_named(statements: str, rule: str) -> None:
    report = faults(migration(statements))
    assert rule in report
    assert "0099_new.sql" in report


def test_a_migration_can_say_that_it_means_it() -> None:
    assert not faults(migration(f"-- squawk-ignore renaming-column\n{RENAMING}"))
