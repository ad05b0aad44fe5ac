"""The rejects file: bounded, and never written over another file."""

import io
import os
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from shared.commands import import_progress
from shared.importing import importer
from shared.postgres.pools import Pool
from tests.integration.importing.import_results import Writing
from tests.integration.importing_examples import HEADER, NO_MAP, imported

BAD = f"{HEADER}\nA-1,Kettle,USD,cheap\n"


def imported_to(pool: Pool, path: Path, rejects: Path) -> int:
    """The exit code; the rejects are left unread."""
    with pool.connection() as conn:
        return import_progress.run(
            conn, Console(file=io.StringIO()), path, NO_MAP, rejects, skip_bad=False, dry_run=False
        )


def test_a_rejects_file_of_an_earlier_import_is_replaced(pool: Pool, file: Writing, tmp_path: Path) -> None:
    rejects = tmp_path / "r.csv"
    rejects.touch()
    long = imported(pool, file(BAD + "A-2,Lamp,USD,cheap\n"), rejects=rejects).rejects
    short = imported(pool, file(BAD), rejects=rejects).rejects
    assert (len(long.splitlines()), len(short.splitlines())) == (3, 2)


@pytest.mark.parametrize("skip_bad", [True, False])
def test_another_file_stays_as_it_is(pool: Pool, file: Writing, tmp_path: Path, skip_bad: bool) -> None:
    rejects = tmp_path / "r.csv"
    rejects.write_text("precious")
    done = imported(pool, file(BAD), rejects=rejects, skip_bad=skip_bad)
    assert (done.code, rejects.read_text()) == (2, "precious")
    assert "exists, and is not a rejects file; --rejects names another file; nothing was imported" in done.said


@pytest.mark.parametrize("target", ["there.csv", "not-there.csv"])
def test_a_symbolic_link_is_not_followed(pool: Pool, file: Writing, tmp_path: Path, target: str) -> None:
    (tmp_path / "there.csv").write_text("line,column,reason,raw\n")
    rejects = tmp_path / "r.csv"
    rejects.symlink_to(target)
    done = imported(pool, file(BAD), rejects=rejects)
    assert done.code == 2
    assert "it is a symbolic link" in done.said
    assert (tmp_path / "there.csv").read_text() == "line,column,reason,raw\n"
    assert not (tmp_path / "not-there.csv").exists()


def test_a_fifo_and_a_device_are_written_to(pool: Pool, file: Writing, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = file(BAD)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        assert imported_to(pool, path, fifo) == 2
        assert b"A-1,Kettle,USD,cheap" in reader.communicate(timeout=30)[0]
    assert fifo.is_fifo()
    assert imported_to(pool, path, Path("/dev/null")) == 2


def test_a_row_like_a_formula_gets_an_apostrophe(pool: Pool, file: Writing) -> None:
    done = imported(pool, file(f"{HEADER}\n=cmd(),Kettle,XXX,1.00\n"))
    assert done.rejects.splitlines()[1].endswith(''',"'=cmd(),Kettle,XXX,1.00"''')


def test_its_size_is_bounded_and_left_out_rows_are_counted(
    pool: Pool, file: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "MAX_REJECTS_BYTES", 20_000)
    rows = "".join(f'A-{at},"{"x" * 90}""""""",USD,cheap\n' for at in range(500))
    done = imported(pool, file(f"{HEADER}\n{rows}"))
    kept = len(done.rejects.splitlines()) - 1
    assert 50 < kept < 100
    assert len(done.rejects) <= 20_000
    assert f"the first {kept} bad rows are in" in done.said
    assert "500 rejected" in done.said
