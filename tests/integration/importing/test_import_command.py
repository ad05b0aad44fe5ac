"""The command `import`, from a file or standard input to its exit code; broken off it keeps nothing."""

import gzip
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from shared.commands.catalogue import import_file
from shared.postgres.pools import Pool
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id
from tests.integration.importing.import_results import stored
from tests.integration.importing_examples import HEADER, command, environ, generated, ran, scalar, with_rules
from tests.support.prerequisites import public_data
from tests.support.waiting import eventually

NewDatabase = Callable[[], Settings]

BIGBASKET = "product_id=index,name=product,category=category,base_price=market_price"


def test_the_catalogue_of_a_grocer_is_imported(migrated_database: NewDatabase, tmp_path: Path) -> None:
    data = public_data()
    settings = with_rules(migrated_database())
    arguments = ("import", data / "bigbasket_products.csv", "--map", BIGBASKET, "--currency", "INR")
    refused = ran(settings, *arguments, cwd=tmp_path)
    assert refused.returncode == 2
    rejects = (tmp_path / "bigbasket_products.csv.rejects.csv").read_text().splitlines()
    assert len(rejects) == 2
    assert rejects[1].startswith("14366,name,is missing; every product has one,")
    assert scalar(settings, "SELECT count(*) FROM products") == 0
    assert ran(settings, *arguments, "--skip-bad", cwd=tmp_path).returncode == 1
    assert scalar(settings, "SELECT count(*) FROM products JOIN prices USING (product_id)") == 27_554
    assert scalar(settings, "SELECT sum(base_price) FROM products") == Decimal("10527331.39")


def test_standard_input_is_read(settings: Settings, pool: Pool, tmp_path: Path) -> None:
    product_id = new_id()
    content = gzip.compress(f"{HEADER}\n{product_id},Kettle,USD,1.00\n".encode())
    done = ran(settings, "import", "-", cwd=tmp_path, stdin=content)
    assert (done.returncode, done.stdout) == (0, b""), done
    assert b"1 row: 1 new" in done.stderr
    assert stored(pool, product_id).name == "Kettle"
    refused = ran(settings, "import", "-", cwd=tmp_path, stdin=b"")
    assert (refused.returncode, b"standard input: it is empty" in refused.stderr) == (2, True)


def test_options_that_make_no_sense_and_a_database_that_is_away_exit_with_2(settings: Settings, tmp_path: Path) -> None:
    (file := tmp_path / "products.csv").touch()
    for wrong in (
        ("--map", "id=x"), ("--currency", "XXX"), ("--delimiter", "ab"),
        ("--encoding", "nope"), ("--encoding", "base64"),
    ):  # fmt: skip
        assert CliRunner().invoke(import_file, [str(file), *wrong], obj=settings).exit_code == 2
    away = msgspec.structs.replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none")
    done = ran(away, "import", "-", cwd=tmp_path, stdin=b"")
    assert (done.returncode, b"is it running?" in done.stderr) == (2, True), done


@pytest.mark.parametrize(("signal_", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_an_import_that_is_broken_off_leaves_the_catalogue_as_it_was(
    migrated_database: NewDatabase, tmp_path: Path, signal_: signal.Signals, code: int
) -> None:
    settings = with_rules(migrated_database())
    path = generated(tmp_path / "products.csv", 200_000)
    (tmp_path / "before.csv").write_text(f"{HEADER}\nG-0,Before,USD,7.00\n")
    assert ran(settings, "import", "before.csv", cwd=tmp_path).returncode == 0
    with psycopg.connect(settings.database_url) as holder:
        # So that it does not end before the signal.
        holder.execute("LOCK TABLE prices IN SHARE MODE")
        importing = subprocess.Popen(
            command("import", path), env=environ(settings), cwd=tmp_path, stderr=subprocess.PIPE
        )
        eventually(lambda: scalar(settings, _WRITING), "products are being written")
        importing.send_signal(signal_)
        holder.rollback()
        _, said = importing.communicate(timeout=60)
    assert importing.returncode == code
    assert signal_ == signal.SIGKILL or said.endswith(b"interrupted; nothing was imported\n")
    eventually(lambda: not scalar(settings, _CONNECTED), "PostgreSQL noticed")
    assert scalar(settings, "SELECT count(*) FROM products") == 1
    assert scalar(settings, "SELECT count(*) FROM price_history") == 1
    assert scalar(settings, "SELECT name FROM products") == "Before"


_CONNECTED = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'pricing-catalogue' AND datname = current_database()
"""


_WRITING = f"{_CONNECTED} AND query ~ 'COPY (products|prices)'"


@pytest.mark.long
def test_a_catalogue_whose_rows_were_not_counted_takes_a_file_as_fast(
    migrated_database: NewDatabase, tmp_path: Path
) -> None:
    settings = with_rules(migrated_database())
    rows = 60_000
    with psycopg.connect(settings.database_url) as filling:
        filling.execute(_PRODUCTS, [rows])
        with psycopg.connect(settings.database_url, autocommit=True) as vacuum:
            vacuum.execute("VACUUM products")
        filling.rollback()
    assert scalar(settings, "SELECT reltuples = 0 AND relpages > 0 FROM pg_class WHERE oid = 'products'::regclass")
    path = generated(tmp_path / "products.csv", rows)
    # A join that reads all products, or the file's rows, once for each product would take an hour.
    assert ran(settings, "import", path, cwd=tmp_path).returncode == 0
    for table in ("products", "prices"):
        counted = scalar(settings, f"SELECT reltuples::int FROM pg_class WHERE oid = '{table}'::regclass")
        assert counted == pytest.approx(rows, rel=0.1)
    path.write_text(path.read_text().replace("Product", "Renamed"))
    assert ran(settings, "import", path, cwd=tmp_path).returncode == 0


_PRODUCTS = """
INSERT INTO products (product_id, name, category, currency, base_price)
SELECT 'X-' || n, 'X', 'x', 'USD', 1 FROM generate_series(1, %s) n
"""


@pytest.mark.long
def test_memory_does_not_grow_with_the_file(migrated_database: NewDatabase, tmp_path: Path) -> None:
    settings = with_rules(migrated_database())
    few, many = (_peak_kb(settings, generated(tmp_path / f"{rows}.csv", rows)) for rows in (80_000, 240_000))
    # The same file takes up to 10 MB more in one run than in another. A row that is kept takes 250 bytes or more.
    assert many - few < 160_000 * 250 / 1024


def _peak_kb(settings: Settings, path: Path) -> int:
    """The most memory that one of an import's processes took."""
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command("import", path, "--dry-run")],
        env=environ(settings),
        cwd=path.parent,
        capture_output=True,
        check=True,
        timeout=120,
    )
    return int(done.stdout)
