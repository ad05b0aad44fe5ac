"""Commands that write are in the audit log, with what they wrote, and those that fail or only read are not."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shared.access import audit
from shared.access.audit import EntryView, Filter
from shared.commands.__main__ import main
from shared.postgres.pools import Pool
from shared.settings import Settings

PRODUCT = "product_id,name,currency,base_price\n{},Kettle,USD,10.00\n"


@pytest.fixture
def just(settings: Settings, pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    with pool.connection() as conn:
        conn.execute("TRUNCATE audit_log")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRICING_HOME", settings.home)
    monkeypatch.setenv("PRICING_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PRICING_REDIS_URL", settings.redis_url)
    monkeypatch.setattr("shared.telemetry.logs.configure", lambda *_: None)
    return lambda *arguments: CliRunner().invoke(main, arguments)


def listed(pool: Pool) -> list[EntryView]:
    with pool.connection() as conn:
        return audit.listed(conn, Filter(), 100)


def test_a_command_that_writes_is_recorded_with_its_arguments_and_user(just: Any, pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(PRODUCT.format("AUDIT-0"))
    assert just("import", "a.csv").exit_code == 0
    assert just("recalculate", "--product", "AUDIT-0").exit_code == 0
    entry = max(listed(pool), key=lambda entry: entry.id)
    assert (entry.request, entry.outcome, entry.key_id) == ("just recalculate product_ids=('AUDIT-0',)", "done", None)
    assert entry.key_name.startswith("just (")


def test_a_new_key_is_recorded_without_the_key(just: Any, pool: Pool) -> None:
    done = just("keys", "create", "--name", "crawler", "--scope", "events:write")
    [entry] = listed(pool)
    assert entry.request == "just keys create name=crawler scopes=('events:write',)"
    assert done.stdout.strip() not in str(entry)


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_an_import_is_recorded_unless_it_keeps_nothing(just: Any, pool: Pool, tmp_path: Path, is_dry_run: bool) -> None:
    (tmp_path / "a.csv").write_text(PRODUCT.format("AUDIT-1"))
    assert just("import", "a.csv", *(["--dry-run"] if is_dry_run else [])).exit_code == 0
    assert [entry.request for entry in listed(pool)] == ([] if is_dry_run else ["just import file=a.csv"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("recalculate", "--product", "NOPE"),
        ("keys", "revoke", "4711"),
        ("tasks",),
        ("keys", "list"),
        ("policy",),
        ("events", "replay", "nobody"),
    ],
)
def test_a_command_that_fails_or_reads_is_not_recorded(just: Any, pool: Pool, arguments: tuple[str, ...]) -> None:
    just(*arguments)
    assert listed(pool) == []
