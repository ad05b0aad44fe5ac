"""`python -m tests.chaos`: real faults against real processes.

Everything is done to private native stacks in temporary folders. Exit code 0: all cases passed, 1: one did not,
2: wrong usage, 3: a stack did not start.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.errors import StackError
from tests.chaos.cases import ALL
from tests.chaos.report import Outcome, play
from tests.chaos.topologies import missing
from tests.support.ending import ends_once

WIDTH = 140  # of what is not a terminal
BY_NAME = {case.name: case for case in ALL}


@click.command()
@click.argument("names", nargs=-1, metavar="[CASE]...", type=click.Choice(list(BY_NAME)))
@click.option("--seed", default=1, show_default=True, help="Of the dice: the same one, the same faults.")
@click.option("--quick", is_flag=True, help="Shorten waits and repetitions: a look, not a proof.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures.")
@click.option("--list", "only_list", is_flag=True, help="List the cases, and play none.")
def main(names: tuple[str, ...], seed: int, quick: bool, json_file: Path | None, only_list: bool) -> None:
    """Break the engine on purpose, case by case, and judge what becomes of prices, events and tasks.

    Without a CASE, all of them. Reads and updates go on all the time; at the end of each case every accepted event
    has to be settled, the last value in price and history, nothing doubled, no version gone backwards, the queues
    empty. A case that was too slow while other programs took a quarter of the machine is inconclusive: it is played
    once more, and is not passed if it stays so. A case whose servers are not installed is left out, and named.
    """
    ends_once()
    console = _console()
    if only_list:
        console.print(_list())
        return
    wanted = [BY_NAME[name] for name in dict.fromkeys(names)] or list(ALL)
    chosen = [case for case in wanted if not missing(case.topology)]
    for case in wanted:
        if case not in chosen:
            console.print(f"[yellow]{case.name} is left out:[/] {missing(case.topology)}")
    if not chosen:
        sys.exit(3)
    outcomes: list[Outcome] = []
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"  [dim]{time.monotonic() - began:6.1f} s[/]  {escape(line)}")

    console.print(f"· {len(chosen)} cases with seed {seed}{', shortened' if quick else ''}, on private stacks")
    try:
        for outcome in play(chosen, seed, quick, say):
            outcomes.append(outcome)
            _tell(console, outcome)
    except StackError as error:
        console.print(f"[red]A stack did not start:[/] {escape(str(error))}")
        sys.exit(3)
    finally:
        if json_file:
            json_file.write_text(_json(outcomes))
        if outcomes:
            console.print(_table(outcomes))
    sys.exit(0 if all(outcome.verdict == "passed" for outcome in outcomes) else 1)


def _console() -> Console:
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)


def _tell(console: Console, outcome: Outcome) -> None:
    console.print(f"{_mark(outcome)} {outcome.case.name}: {escape(outcome.figure)}")
    for line in outcome.missed:
        console.print(f"    [red]{escape(line)}[/]")


def _mark(outcome: Outcome) -> str:
    return {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "inconclusive": "[yellow]inconclusive[/]"}[outcome.verdict]


def _list() -> Table:
    table = Table("case", "fault", "bar", box=box.SIMPLE_HEAD)
    for case in ALL:
        table.add_row(case.name, escape(case.fault), escape(case.bar))
    return table


def _table(outcomes: Sequence[Outcome]) -> Table:
    counts = Counter(outcome.verdict for outcome in outcomes)
    caption = f"{counts['passed']} passed, {counts['failed']} failed, {counts['inconclusive']} inconclusive"
    table = Table("case", "bar", "figure", "took", "", box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for outcome in outcomes:
        case = outcome.case
        table.add_row(case.name, escape(case.bar), escape(outcome.figure), f"{outcome.seconds:.0f} s", _mark(outcome))
    return table


def _json(outcomes: Sequence[Outcome]) -> str:
    cases = [
        {
            "name": o.case.name,
            "passed": o.verdict == "passed",
            "figure": o.figure,
            "wrong": o.missed,
            "verdict": o.verdict,
            "others_share": round(o.others, 3),
        }
        for o in outcomes
    ]
    return json.dumps({"cases": cases}, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    main(prog_name="just chaos")
