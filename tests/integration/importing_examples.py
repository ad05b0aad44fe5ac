"""The importer and the exporter as an operator uses them: what they print, write and exit with."""

import io
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from shared.commands import demo, import_progress
from shared.importing.columns import Columns
from shared.postgres import migrations, pools
from shared.postgres.pools import Pool
from shared.rulebook import store as rulebook
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
HEADER = "product_id,name,currency,base_price"
NO_MAP = Columns()


class Done(NamedTuple):
    """An import that has ended: its exit code, what it said, and the lines of its rejects file."""

    code: int
    said: str
    rejects: str


def imported(
    pool: Pool,
    path: Path,
    columns: Columns = NO_MAP,
    *,
    skip_bad: bool = False,
    dry_run: bool = False,
    rejects: Path | None = None,
) -> Done:
    """Import a file in this process."""
    said = io.StringIO()
    console = Console(file=said, width=500)
    if rejects is None:
        rejects = path.with_name("rejects.csv")
        rejects.unlink(missing_ok=True)
    with pool.connection() as conn:
        code = import_progress.run(conn, console, path, columns, rejects, skip_bad=skip_bad, dry_run=dry_run)
    return Done(code, said.getvalue(), rejects.read_bytes().decode() if rejects.exists() else "")


def command(*arguments: object) -> list[str]:
    """The command line; to be run with `environ`."""
    return [sys.executable, "-m", "shared.commands", *map(str, arguments)]


def environ(settings: Settings) -> dict[str, str]:
    """This process's environment, with the tests' database."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    ours = {"PRICING_DATABASE_URL": settings.database_url, "PRICING_HOME": str(settings.home_dir)}
    return clean | ours | {"PYTHONPATH": str(ROOT)}


def ran(
    settings: Settings, *arguments: object, cwd: Path, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        env=environ(settings),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )


def migrated(settings: Settings) -> Settings:
    """The same, with the schema, the default policy and the shipped markets."""
    migrations.migrate(settings)
    return with_rules(settings)


def with_rules(settings: Settings) -> Settings:
    """The same, with the default policy and the shipped markets; it has the schema."""
    with pools.connect(settings, "tests") as conn:
        rulebook.ensure_default(conn)
        demo.ensure_markets(conn)
    return settings


def generated(path: Path, rows: int) -> Path:
    """A CSV file of so many products."""

    def lines() -> Iterable[str]:
        yield f"{HEADER}\n"
        for number in range(rows):
            yield f"G-{number * 7919 % 1_000_003},Product {number},USD,{number % 90_000 / 100 + 1:.2f}\n"

    with path.open("w") as file:
        file.writelines(lines())
    return path


def scalar(settings: Settings, query: str) -> object:
    """The one value that a query answers."""
    with pools.connect(settings, "tests") as conn:
        row = conn.execute(query.encode()).fetchone()
    assert row
    return next(iter(row.values()))
