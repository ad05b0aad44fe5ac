"""The exporter: what it writes, the importer reads back and finds as it was."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.commands import demo
from shared.importing import exporter
from shared.postgres.pools import connect
from shared.settings import Settings
from tests.integration.importing_examples import HEADER, migrated, ran, scalar

NAMES = ["products.csv", "products.csv.gz", "products.jsonl", "products.jsonl.gz"]
TRICKY = (
    f"{HEADER},category\n"
    'T-1,"Kettle, 1.7 l ""quick""",USD,1.00,home\n'
    'T-2,"two\nlines\r\nand \\n a backslash",USD,0.10,"a, b"\n'
    "T-3,\tÄ 中 🫖 NULL,CLF,999999999999.9999,\\N\n"
    'T-4,"\\.",KWD,1.005,null\n'
)


@pytest.fixture
def catalogue(new_database: Callable[[], Settings], tmp_path: Path) -> Settings:
    """The demo catalogue, with tiers, signals and three currencies, and products with awkward names."""
    settings = migrated(new_database())
    with connect(settings, "tests") as conn:
        demo.load(conn)
    done = ran(settings, "import", "-", cwd=tmp_path, stdin=TRICKY.encode())
    assert done.returncode == 0, done.stderr
    return settings


def exported(settings: Settings, path: Path, category: str | None = None) -> int:
    with connect(settings, "tests") as conn:
        return exporter.run(conn, path, exporter.format_of(path), category)


def test_what_was_exported_is_imported_as_unchanged(catalogue: Settings, tmp_path: Path) -> None:
    for name in NAMES:
        path = tmp_path / name
        assert exported(catalogue, path) == 904
        assert path.read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")
        done = ran(catalogue, "import", path, cwd=tmp_path)
        assert (done.returncode, b"0 new, 0 changed, 904 unchanged" in done.stderr) == (0, True), done
    assert scalar(catalogue, "SELECT count(*) FROM tasks") == 0
    assert gzip.decompress((tmp_path / NAMES[1]).read_bytes()) == (tmp_path / NAMES[0]).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_an_empty_catalogue_takes_it_all_back(
    catalogue: Settings, new_database: Callable[[], Settings], tmp_path: Path
) -> None:
    exported(catalogue, tmp_path / "one.jsonl")
    other = migrated(new_database())
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
