"""The commands of the pages in docs/ run, each page from top to bottom as its reader would type it."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import ports

# A stack of its own, and every page: two minutes.
pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if BLOCK.search(page.read_text())]
# An answer that is a problem as a whole; one event of a batch can have an `"error":` of its own.
PROBLEM = re.compile(r'(?<!:)\{"type":"urn:pricing:')
DEFAULTS = {"PRICING_PORT": 8000, "PRICING_WORKER_METRICS_PORT": 9191, "PRICING_LISTENER_METRICS_PORT": 9192}
# The first command of the README made the stack natively; a Docker engine that answers is not asked.
NATIVE = {"DOCKER_HOST": "unix:///nonexistent"}


class Reader:
    """A reader in a checkout of their own: links to the repository's files, and a stack of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path in ROOT.iterdir():
            if path.name not in (".git", ".pricing"):
                (folder / path.name).symlink_to(path)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
        self._ports = {name: str(ports.free_port()) for name in DEFAULTS}
        self._environ = clean | self._ports | NATIVE
        self._another_port = str(ports.free_port())

    def run(self, script: str) -> str:
        """Run lines up to the first that fails; what they print."""
        for name, port in self._ports.items():
            script = script.replace(f"localhost:{DEFAULTS[name]}", f"localhost:{port}")
        script = script.replace("9391", self._another_port)
        done = subprocess.run(
            ["bash", "-c", f"shopt -s expand_aliases\nalias just=.venv/bin/just\nset -eo pipefail\n{script}"],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    try:
        reader.run("just up")
        yield reader
    finally:
        reader.run("just down")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run_in_its_order(reader: Reader, page: Path) -> None:
    printed = reader.run("".join(BLOCK.findall(page.read_text())))
    assert not PROBLEM.search(printed)
