"""`python -m tests.bench`: measures side by side what the README says of speed, and judges it.

Exit code 0: every bar was met, 1: one was not, 2: nothing could be measured, or others disturbed it.
"""

import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from tests.bench import cores, outcome, report, wrk
from tests.bench.outcome import Options, Outcome
from tests.bench.wrk import CannotMeasure
from tests.support.ending import ends_once

BENCHMARKS = {
    "reads": "price queries beside a ceiling and a fair peer, from near cache, Redis and PostgreSQL",
    "against": "price queries beside those of an earlier commit (also --commit NAME)",
    "staleness": "how soon every process serves a changed price",
    "bulk": "500 queries at once, and single ones beside them",
    "processes": "one process and two",
    "memory": "of an API process over a million distinct queries",
    "tracing": "what tracing at its default ratio costs",
    "recalculation": "prices decided per second (also --products N, --alone)",
    "plans": "products planned per second, and applied (also --products N)",
    "import": "rows imported per second (also --rows N)",
    "import-prices": "price-list entries imported per second (also --products N)",
    "cache": "what one node of a Redis Cluster carries (also --sheets N)",
    "offers": "offers issued and verified, beside raw verifications (also --offers N)",
    "events": "market events: latency, a backlog, a burst, and the idle queue",
    "changes": "how soon a change reaches the stream and a webhook, and in which order",
    "streams": "a thousand slow readers of the stream of changes beside price queries",
    "console": "the console's searches and pages over a million products (also --products N)",
    "months": "everyday work beside ten million rows a table (also --rows N)",
}
# These bring their own command line: what this one does not know is handed over.
OF_THEIR_OWN = {
    "recalculation": "tests.bench.recalculation",
    "plans": "tests.bench.plans",
    "import": "tests.bench.importing",
    "import-prices": "tests.bench.entry_importing",
    "cache": "tests.bench.cache",
    "offers": "tests.bench.offers",
    "events": "tests.bench.events",
    "changes": "tests.bench.changes",
    "console": "tests.bench.console",
    "months": "tests.bench.months",
}
console = report.console()


class NotMeasured(click.ClickException):
    """There are no figures; exit code 2."""

    exit_code = 2


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="Benchmarks: " + "; ".join(f"{name}: {what}" for name, what in BENCHMARKS.items()) + ".",
)
@click.argument("benchmark", type=click.Choice(list(BENCHMARKS)), default="reads")
@click.option("--quick", is_flag=True, help="Few and short windows: within a minute, and rougher.")
@click.option("--rounds", default=0, type=click.IntRange(0), help="How often each is measured; 0: as seems right.")
@click.option("--commit", default="HEAD", help="With `against`: the commit; HEAD: what is not committed is measured.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
@click.pass_context
def main(context: click.Context, benchmark: str, quick: bool, rounds: int, commit: str, json_file: Path | None) -> None:
    """Measure in a temporary folder, on servers of its own; the running stack is not touched."""
    ends_once()
    if benchmark in OF_THEIR_OWN:
        _hand_over(benchmark, quick, rounds, json_file, context.args)
    if context.args:
        context.fail(f"No such option or argument: {context.args[0]}")
    try:
        wrk.find()
        with cores.chosen() as where:
            options = Options(quick, rounds, where, say=lambda line: console.print(f"· {line}"), commit=commit)
            options.say(f"server on core {where.server}; load, PostgreSQL and Redis on {where.others}; neither halts")
            found: Outcome = import_module(f"tests.bench.{benchmark}").run(options)
    except CannotMeasure as error:
        raise NotMeasured(str(error)) from None
    console.print(report.tables(found))
    if json_file:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.platform()}
        written = {"benchmark": benchmark, "quick": quick, "connections": wrk.CONNECTIONS, "machine": machine}
        json_file.write_text(json.dumps(written | found.as_json(), indent=2, ensure_ascii=False))
    if not found.is_conclusive:
        raise NotMeasured(outcome.INCONCLUSIVE)
    sys.exit(0 if found.holds else 1)


def _hand_over(benchmark: str, quick: bool, rounds: int, json_file: Path | None, more: Sequence[str]) -> NoReturn:
    """Become the benchmark: its servers end with one process, and no other one waits for it."""
    options = [*(["--quick"] if quick else []), *(["--rounds", str(rounds)] if rounds else [])]
    options += ["--json", str(json_file)] if json_file else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", OF_THEIR_OWN[benchmark], *options, *more])


if __name__ == "__main__":
    main(prog_name="just bench")
