"""This checkout beside an earlier commit: the CPU time of a query, with a second server of this checkout as control."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from tests.bench import catalogue, in_checkout
from tests.bench.judge import Bar, of_rounds
from tests.bench.outcome import CONTROL, Options, Outcome
from tests.bench.series import FIGURES, Series, alternate, known
from tests.bench.server import REPOSITORY, STOP_S, Server
from tests.bench.wrk import CannotMeasure
from tests.support.checkouts import check_out

DEARER = 1.05


def run(options: Options) -> Outcome:
    """Measure queries from the near cache in turns: of this checkout, of this one again, and of the commit."""
    rounds, window_s = options.rounds or (5 if options.quick else 15), 1 if options.quick else 3
    with tempfile.TemporaryDirectory(prefix="pricing-bench-") as folder, ExitStack() as undo:
        commit = _checked_out(options.commit, Path(folder) / "commit")
        hot = catalogue.write(Path(folder) / "hot.jsonl", catalogue.hot_queries(10_000))
        series = []
        for name, title, checkout in (
            ("this", "this checkout", REPOSITORY),
            ("again", "this checkout, again", REPOSITORY),
            ("commit", f"commit {commit}", Path(folder) / "commit"),
        ):
            options.say(f"PostgreSQL, Redis and an API process: {title}")
            server = undo.enter_context(_engine(checkout, options))
            series.append(Series(name, title, server, lambda _: hot))
        alternate(series, rounds, window_s, options.cores, options.say)
    this, again, earlier = (one.each(FIGURES["cpu_us_per_request"]) for one in series)
    dearer, control = of_rounds(this, earlier), of_rounds(this, again)
    return Outcome(
        bars=[Bar(f"this checkout : {commit}, CPU time per request", dearer, "≤", DEARER)],
        figures={"commit": commit, "cpu_ratio": known(dearer), "control": known(control)},
        series=series,
        controls=[Bar("control: this checkout : itself", max(control, 1 / control), "≤", CONTROL)],
    )


def _checked_out(commit: str, folder: Path) -> str:
    """Write the files of a commit into a folder; its short name.

    Raises:
        CannotMeasure: there is no such commit here.
    """
    git = ["git", "-C", str(REPOSITORY)]
    found = subprocess.run([*git, "rev-parse", "--short", f"{commit}^{{commit}}"], capture_output=True, text=True)
    if found.returncode:
        raise CannotMeasure(f"There is no commit {commit!r} here: {found.stderr.strip()}")
    name = found.stdout.strip()
    check_out(name, folder)
    return name


@contextmanager
def _engine(checkout: Path, options: Options) -> Iterator[Server]:
    """An API process of a checkout, with a PostgreSQL and a Redis of its own, until the block ends.

    Raises:
        CannotMeasure: it did not start.
    """
    # -P: the modules are those of the checkout, and not those beside the script.
    command = [sys.executable, "-P", in_checkout.__file__, str(options.cores.server), str(options.cores.others)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                process.wait(STOP_S)
                errors.seek(0)
                raise CannotMeasure(f"{checkout}: {errors.read().decode(errors='replace')[-2000:]}")
            yield Server(*msgspec.json.decode(line, type=tuple[int, str]))
        finally:
            # It ends with its input.
            process.communicate(timeout=2 * STOP_S)
