"""The exporter: what it writes, the importer reads back and finds as it was."""

import csv
import gzip
import io
import os
import subprocess
import tty
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.commands import demo
from shared.importing import exporter, tables
from shared.postgres.pools import connect
from shared.settings import Settings
from tests.integration.importing_examples import HEADER, command, environ, ran, scalar, with_rules

NAMES = ["products.csv", "products.csv.gz", "products.jsonl", "products.jsonl.gz"]
TRICKY = (
    f"{HEADER},category\n"
    'T-1,"Kettle, 1.7 l ""quick""",USD,1.00,home\n'
    'T-2,"two\nlines\r\nand \\n a backslash",USD,0.10,"a, b"\n'
    "T-3,\tÄ 中 🫖 NULL,CLF,999999999999.9999,\\N\n"
    'T-4,"\\.",KWD,1.005,null\n'
    '"T/6, ""a"" \\N é {x}","an id of a shop",USD,1.00,home\n'
)
FACTS = (
    f"{HEADER},brand,tags,content_amount,content_unit,tax_class,quantity_step,price_decimals,map_price,rrp\n"
    'T-5,Wine,EUR,9.90,"Ac,me","[""a|b"", ""[c"", ""\\""""]",0.75,l,reduced,0.001,6,8.90,12.00\n'
)


@pytest.fixture(scope="module")
def catalogue(migrated_database: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The demo catalogue, with tiers, signals, three currencies and awkward names; no test changes it."""
    settings = with_rules(migrated_database())
    with connect(settings, "tests") as conn:
        demo.load(conn)
    for file in (TRICKY, FACTS):
        done = ran(settings, "import", "-", cwd=tmp_path_factory.mktemp("catalogue"), stdin=file.encode())
        assert done.returncode == 0, done.stderr
    return settings


def exported(settings: Settings, path: Path, category: str | None = None) -> int:
    with connect(settings, "tests") as conn:
        return exporter.run(conn, path, tables.form_of(path), category)


def test_what_was_exported_is_imported_as_unchanged(catalogue: Settings, tmp_path: Path) -> None:
    for name in NAMES:
        path = tmp_path / name
        assert exported(catalogue, path) == 906
        assert path.read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")
        done = ran(catalogue, "import", path, cwd=tmp_path)
        assert (done.returncode, b"0 new, 0 changed, 906 unchanged" in done.stderr) == (0, True), done
    assert exported(catalogue, tmp_path / "a.xlsx", "electronics") == 180
    done = ran(catalogue, "import", tmp_path / "a.xlsx", "--replace", cwd=tmp_path)
    assert (done.returncode, b"0 new, 0 changed, 180 unchanged" in done.stderr) == (0, True), done
    (tmp_path / "a.xlsx").unlink()
    assert scalar(catalogue, "SELECT count(*) FROM tasks") == 0
    assert gzip.decompress((tmp_path / NAMES[1]).read_bytes()) == (tmp_path / NAMES[0]).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_an_empty_catalogue_takes_it_all_back(
    catalogue: Settings, migrated_database: Callable[[], Settings], tmp_path: Path
) -> None:
    exported(catalogue, tmp_path / "one.jsonl")
    other = with_rules(migrated_database())
    assert ran(other, "import", "one.jsonl", cwd=tmp_path).returncode == 0
    exported(other, tmp_path / "two.jsonl")
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()


def test_standard_output_takes_a_category_in_either_format(catalogue: Settings, tmp_path: Path) -> None:
    for form, lines in (("csv", 181), ("jsonl", 180)):
        done = ran(catalogue, "export", "--format", form, "--category", "grocery", cwd=tmp_path)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, lines), done.stderr
        assert done.stderr == b"180 products\n"


def test_a_place_where_nobody_can_write_is_one_sentence(catalogue: Settings, tmp_path: Path) -> None:
    done = ran(catalogue, "export", tmp_path / "no" / "file.csv", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done
    assert b"No such file" in done.stderr


def test_a_file_is_replaced_only_by_a_complete_one(catalogue: Settings, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text("before")
    with connect(catalogue, "tests") as conn:
        conn.execute("ALTER TABLE products RENAME TO hidden")
        with pytest.raises(Exception, match="products"):
            exporter.run(conn, path, "csv")
        conn.rollback()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize("name", ["fifo.csv", "fifo.csv.gz"])
def test_a_fifo_is_written_to_and_stays_one(catalogue: Settings, tmp_path: Path, name: str) -> None:
    fifo = tmp_path / name
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        exported(catalogue, fifo)
        data, _ = reader.communicate(timeout=30)
    text = gzip.decompress(data) if name.endswith(".gz") else data
    assert text.startswith(b"product_id,name,")
    assert fifo.is_fifo()
    assert [*tmp_path.iterdir()] == [fifo]


def test_a_device_is_written_to(catalogue: Settings, tmp_path: Path) -> None:
    # A terminal: were it replaced, nothing of the machine would be lost.
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    device = Path(os.ttyname(theirs))
    with subprocess.Popen(["cat"], stdin=ours, stdout=subprocess.PIPE) as reader:
        exported(catalogue, device, "home")
        assert device.is_char_device()
        os.close(theirs)
        os.close(ours)
        assert reader.communicate(timeout=30)[0].startswith(b"product_id,name,")
    full = ran(catalogue, "export", "/dev/full", cwd=tmp_path)
    assert (full.returncode, b"No space left" in full.stderr) == (1, True), full


def test_a_symbolic_link_stays_and_its_file_is_replaced(catalogue: Settings, tmp_path: Path) -> None:
    for target in (tmp_path / "there.csv", tmp_path / "new.csv"):
        link = tmp_path / "link.csv"
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)
        (tmp_path / "there.csv").write_text("before")
        exported(catalogue, link)
        assert link.is_symlink()
        assert target.read_bytes().startswith(b"product_id,name,")


def test_a_reader_who_has_enough_is_no_error(catalogue: Settings, tmp_path: Path) -> None:
    exporting = subprocess.Popen(
        command("export"), env=environ(catalogue), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert exporting.stdout
    assert exporting.stderr
    exporting.stdout.close()
    assert (exporting.wait(timeout=30), exporting.stderr.read()) == (141, b"")
    exporting.stderr.close()


FORMULAS = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "＝1", "'=1", "''=1", "'tis", '=a,"b"\nc', "a=1", "'"]


def test_no_text_of_an_export_for_spreadsheets_is_a_formula_and_all_come_back(
    migrated_database: Callable[[], Settings], tmp_path: Path
) -> None:
    settings = with_rules(migrated_database())
    lines = io.StringIO()
    rows = [(f"F-{at}", text, "USD", "1.00", text) for at, text in enumerate(FORMULAS)]
    csv.writer(lines).writerows([[*HEADER.split(","), "category"], *rows])
    done = ran(settings, "import", "-", cwd=tmp_path, stdin=lines.getvalue().encode())
    assert done.returncode == 0, done
    assert ran(settings, "export", "--for-spreadsheets", "sheet.csv", cwd=tmp_path).returncode == 0
    with (tmp_path / "sheet.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n＝"))]
    assert {"a=1", "'tis", "'=1+1", "''=1"} <= set(cells)
    back = ran(settings, "import", "sheet.csv", "--from-spreadsheets", cwd=tmp_path)
    assert f"0 new, 0 changed, {len(FORMULAS)} unchanged".encode() in back.stderr, back
    plain = ran(settings, "import", "sheet.csv", "--dry-run", cwd=tmp_path)
    assert b" 10 changed, 3 unchanged" in plain.stderr


def test_only_csv_is_for_spreadsheets(catalogue: Settings, tmp_path: Path) -> None:
    refused = ran(catalogue, "export", "--for-spreadsheets", "file.jsonl", cwd=tmp_path)
    assert (refused.returncode, b"is for CSV" in refused.stderr) == (2, True)
    refused = ran(catalogue, "import", "--from-spreadsheets", "-", cwd=tmp_path, stdin=b'{"product_id": "x"}\n')
    assert (refused.returncode, b"is for CSV" in refused.stderr) == (2, True)
