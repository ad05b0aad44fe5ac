"""The importer's speed: generated rows into the catalogue of a stack of its own.

`just bench import [--quick] [--json FILE]`, or `python -m tests.bench.importing --rows N`
"""

import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import click
import msgspec
import psutil
import psycopg
from rich.console import Console

from deploy.native import environment, stack
from shared import settings
from shared.settings import Settings
from tests.integration.importing_examples import HEADER, command, environ, migrated, scalar
from tests.support.ending import ends_once
from tests.support.processes import is_tracker

SEED = 20_260_301


@dataclass
class Watched:
    """What the processes of an import took; a process's memory is the most that it held, in MB.

    Attributes:
        others_share: How much of the machine's time other programs took meanwhile, 0 to 1.
    """

    memory_mb: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    others_share: float = 0

    def look(self, name: str, process: psutil.Process) -> None:
        """Note a process as it is now; one that has ended keeps its last figures."""
        try:
            times, memory = process.cpu_times(), process.memory_info().rss / 2**20
        except psutil.Error:
            return
        self.memory_mb[name] = max(self.memory_mb.get(name, 0), memory)
        self.cpu_s[name] = times.user + times.system


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A tenth of the rows.")
@click.option("--rows", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the figures there too.")
def main(rows: int, target: Path | None, *, quick: bool) -> None:
    """Measure, print."""
    ends_once()
    rows //= 10 if quick else 1
    console = Console(highlight=False)
    with database() as (folder, known):
        path = generated(folder / "products.csv", rows)
        watched, said = ran(known, folder, "import", path)
        assert scalar(known, "SELECT count(*) FROM products JOIN prices USING (product_id)") == rows
    found = shown(console, rows, watched, said)
    if target:
        target.write_bytes(msgspec.json.encode(found))


def shown(console: Console, rows: int, watched: Watched, said: str) -> dict[str, object]:
    """Print the figures of an import, and return them."""
    speed = float(re.search(r"([\d,]+) rows/s", said)[1].replace(",", ""))  # type: ignore[index] # it says so
    console.print(said.strip())
    for name, megabytes in sorted(watched.memory_mb.items()):
        per_row = watched.cpu_s[name] / rows * 1e6
        console.print(f"{name:<12} {megabytes:5.0f} MB at most, {per_row:5.1f} µs CPU a row")
    console.print(f"other programs took {watched.others_share:.0%} of the machine meanwhile")
    return {"rows": rows, "rows_per_s": speed} | asdict(watched)


def generated(path: Path, rows: int) -> Path:
    """A CSV file of so many products, whose ids, prices and names come in no order; the same for the same number."""
    dice = Random(SEED)  # figures for a file, no secret
    numbers = list(range(rows))
    dice.shuffle(numbers)

    def lines() -> Iterable[str]:
        yield f"{HEADER},category\n"
        for number in numbers:
            category = dice.choice(("electronics", "grocery", "fashion", "home", "general"))
            yield f"SKU-{number:07},Product {number} of many,USD,{dice.randrange(100, 100_000) / 100:.2f},{category}\n"

    with path.open("w") as file:
        file.writelines(lines())
    return path


def ran(known: Settings, folder: Path, *arguments: object) -> tuple[Watched, str]:
    """Run an importing command, and watch it; what it said."""
    watched, ended = Watched(), threading.Event()
    importing = subprocess.Popen(command(*arguments), env=environ(known), cwd=folder, stderr=subprocess.PIPE, text=True)
    watcher = threading.Thread(target=_watch, args=(watched, known, importing.pid, ended))
    watcher.start()
    began, busy = time.monotonic(), _busy_s()
    _, said = importing.communicate()
    took = (time.monotonic() - began) * (os.cpu_count() or 1)
    ended.set()
    watcher.join()
    watched.others_share = max(0.0, _busy_s() - busy - sum(watched.cpu_s.values())) / took
    if importing.returncode:
        raise click.ClickException(said)
    return watched, said


def _watch(watched: Watched, known: Settings, pid: int, ended: threading.Event) -> None:
    process = psutil.Process(pid)
    checkers: dict[int, str] = {}
    with psycopg.connect(known.database_url, autocommit=True) as conn:
        while not ended.wait(0.1):
            watched.look("reader", process)
            for child in _children(process):
                watched.look(checkers.setdefault(child.pid, f"checker {len(checkers) + 1}"), child)
            for (backend,) in conn.execute(_BACKEND):
                watched.look("PostgreSQL", psutil.Process(backend))


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0))


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [child for child in process.children() if not is_tracker(child)]
    return []


@contextmanager
def database() -> Iterator[tuple[Path, Settings]]:
    """An empty catalogue on a PostgreSQL of its own, and a folder; both are gone afterwards."""
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="pricing-"))).resolve()
        home = folder / "home"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
        undo.callback(stack.down, home)
        stack.up(home, clean, ["postgres", "redis"])
        yield folder, migrated(settings.load({**environment.load(home), "PRICING_HOME": str(home)}))


_BACKEND = b"SELECT pid FROM pg_stat_activity WHERE application_name = 'pricing-catalogue' AND state IS NOT NULL"


if __name__ == "__main__":
    main()
