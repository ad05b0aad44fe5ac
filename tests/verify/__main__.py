"""`python -m tests.verify`: what the README promises, checked and measured.

The running stack is only asked. What writes, or breaks something, is done to a private native stack in a
temporary folder, which has the same code. Exit code 0: no cross, 1: a cross, 3: there is no stack to ask.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
import httpx
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.errors import StackError
from tests.support import private_stack, running_stack
from tests.support.ending import ends_once
from tests.verify import events, operation, prices, running_stack_checks, tasks
from tests.verify.checklist import Checklist, Line, Mark

STYLES = {Mark.TICK: "green", Mark.CROSS: "red", Mark.SKIPPED: "yellow"}
WIDTH = 140  # of what is not a terminal
PRIVATE = "private"
ON_PRIVATE = (*prices.CHECKS, *events.CHECKS, *tasks.CHECKS, *operation.CHECKS)


@click.command()
@click.option("--product", help="A product of the running stack to ask about. Default: P-100, else the first one.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the lines here.")
def main(product: str | None, json_file: Path | None) -> None:
    """Check what the README promises, with measured figures; a minute or two."""
    ends_once()
    console = _console()
    stack = running_stack.find()
    console.print(f"· {stack.kind} stack at {stack.url}: asked, not written to")
    checklist = Checklist(said=lambda line: console.print(f"  {_marked(line.mark)} {escape(line.what)}"))
    with httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as http:
        checklist.run(stack.kind, running_stack_checks.CHECKS, running_stack_checks.visitor(stack, http, product))
    console.print("· a private stack starts, for what writes or breaks something")
    try:
        with private_stack.running() as private:
            checklist.run(PRIVATE, ON_PRIVATE, private)
            console.print("· the private stack stops")
    except StackError as error:
        checklist.skip(PRIVATE, ON_PRIVATE[sum(line.where == PRIVATE for line in checklist.lines) :], str(error))
    console.print(_table(checklist.lines))
    if json_file:
        lines = [asdict(line) for line in checklist.lines]
        json_file.write_text(json.dumps({"kept": checklist.is_kept, "lines": lines}, indent=2, ensure_ascii=False))
    sys.exit(0 if checklist.is_kept else 1)


def _console() -> Console:
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)


def _table(lines: list[Line]) -> Table:
    counts = ", ".join(f"{sum(line.mark == mark for line in lines)} {mark}" for mark in Mark)
    table = Table("stack", "what", "figure", "", box=box.SIMPLE_HEAD, caption=counts, caption_justify="left")
    for line in lines:
        table.add_row(line.where, escape(line.what), escape(line.figure), _marked(line.mark))
    return table


def _marked(mark: Mark) -> str:
    return f"[{STYLES[mark]}]{mark}[/]"


if __name__ == "__main__":
    main(prog_name="just verify")
