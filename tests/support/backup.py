"""The restore of a backup, as docs/operating.md shows it."""

import subprocess
from pathlib import Path

EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n"


def restore(binaries: Path, database_url: str, dump: str) -> None:
    """Replace the schema and its data by those of a dump of `pg_dump -Fc`, in one transaction.

    `pg_restore --clean` cannot do it: it drops constraints of partitions that belong to the partitioned table.

    Raises:
        subprocess.CalledProcessError: PostgreSQL refused; nothing has changed.
    """
    script = subprocess.run([str(binaries / "pg_restore"), "-f", "-", dump], check=True, capture_output=True, text=True)
    subprocess.run(
        [str(binaries / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", database_url],
        input=EMPTY + script.stdout,
        check=True,
        capture_output=True,
        text=True,
    )
