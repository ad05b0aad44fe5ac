"""`python -m tests.support.migration_lint`: squawk reads the SQL of every new migration."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.postgres import migrations

CONFIG = Path(__file__).resolve().parents[2] / ".squawk.toml"
# Up to this one they have run in production: they stay as they are.
EXEMPT = "0004"


def faults(sql: Mapping[str, str]) -> str:
    """Squawk's report on the SQL of migrations, by their names; empty where it finds nothing."""
    with TemporaryDirectory() as folder:
        for name, statements in sql.items():
            Path(folder, f"{name}.sql").write_text(statements, encoding="utf-8")
        squawk = str(Path(sys.executable).with_name("squawk"))
        command = [squawk, f"--config={CONFIG}", *(f"{name}.sql" for name in sql)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


if __name__ == "__main__":
    new = dict(migrations.statements(since=EXEMPT))
    sys.exit((new and faults(new)) or None)
