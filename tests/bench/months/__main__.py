"""`python -m tests.bench.months`: what everyday work costs beside years of data.

Exit code 0: every bar was met, 1: one was not.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import click
import structlog
from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.judge import Bar
from tests.bench.months import costs, years
from tests.bench.recalculation import arena, catalogue
from tests.bench.recalculation.arena import Arena
from tests.support.ending import ends_once

PRODUCTS, ROUNDS = 1_000, 3
# Enough for what is deleted while it is measured.
YOUNG, OLD, QUICK_OLD = 100_000, 10_000_000, 1_000_000
RATIO = 1.5
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


@click.command()
@click.option("--quick", is_flag=True, help="Beside a million rows a table.")
@click.option("--rows", default=0, type=click.IntRange(0), help="Beside so many rows a table; 0: ten million.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(quick: bool, rows: int, json_file: Path | None) -> None:
    """Measure beside 100,000 rows a table and beside ten million, in rounds that alternate.

    Both stacks are started in temporary folders.
    """
    ends_once()
    # Each partition that is made or dropped is logged as information.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    old = rows or (QUICK_OLD if quick else OLD)
    with ExitStack() as undo:
        places = {f"{rows:,} rows a table": undo.enter_context(_filled(rows)) for rows in (YOUNG, old)}
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in places}
        for number in range(1, ROUNDS + 1):
            console.print(f"· round {number} of {ROUNDS}")
            for name, place in places.items():
                rounds[name].append(costs.measured(place, PRODUCTS, number))
    found = {name: {cost: median(each[cost] for each in of) for cost in of[0]} for name, of in rounds.items()}
    before, after = found.values()
    bars = [Bar(name, after[name] / before[name], "≤", RATIO, "×") for name in before]
    table = Table("median, ms", *found, "ratio", "limit", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for bar in bars:
        figures = (f"{each[bar.what]:,.2f}" for each in found.values())
        table.add_row(bar.what, *figures, f"{bar.measured:.2f}", f"≤ {bar.bound}", "✓" if bar.holds else "✗")
    console.print(table)
    if json_file is not None:
        judged = [{"bar": bar.what, "figure": bar.measured, "limit": bar.bound, "met": bar.holds} for bar in bars]
        json_file.write_text(json.dumps({**found, "bars": judged}, indent=1))
    sys.exit(any(not bar.holds for bar in bars))


@contextmanager
def _filled(rows: int) -> Iterator[Arena]:
    with arena.running() as place:
        console.print(f"· {rows:,} rows a table: filling it")
        begun = time.monotonic()
        catalogue.fill(place.engine, PRODUCTS)
        catalogue.change_all(place.engine, "0.02")
        place.engine.ended(place.engine.recalculate())
        years.fill(place, rows, PRODUCTS)
        console.print(f"· filled in {time.monotonic() - begun:.0f} s")
        yield place


if __name__ == "__main__":
    main()
