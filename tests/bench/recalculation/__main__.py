"""`python -m tests.bench.recalculation`: how fast a catalogue is recalculated, and what goes on beside it.

Exit code 0: every bar was met, 1: one was not.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from tests.bench.recalculation import arena, catalogue, event_latency, report, runs
from tests.bench.recalculation.arena import Arena
from tests.support.ending import ends_once

SIZES = (10_000, 100_000, 1_000_000)

console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


@click.command()
@click.option("--quick", is_flag=True, help="Without the catalogue of 1,000,000: within two minutes.")
@click.option("--products", "sizes", multiple=True, type=click.IntRange(1000), help="Only catalogues of these sizes.")
@click.option("--beside/--alone", "is_beside", default=True, help="Also event latency, and reads beside a run.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(quick: bool, sizes: tuple[int, ...], is_beside: bool, json_file: Path | None) -> None:
    """Make catalogues on servers of its own, in a temporary folder, and recalculate them."""
    ends_once()
    chosen = sizes or (SIZES[:2] if quick else SIZES)
    found: dict[str, Any] = {"runs": []}
    for products in chosen:
        # Processes of its own for each size, so that the peaks of memory are those of that size.
        with arena.running() as place:
            found["runs"] += _measured(place, products)
            if is_beside and products == chosen[-1]:
                found |= _beside(place, products)
    found["bars"] = report.bars(found)
    console.print(report.tables(found))
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1))
    sys.exit(any(bar["met"] is False for bar in found["bars"]))


def _measured(place: Arena, products: int) -> list[dict[str, Any]]:
    console.print(f"· {products:,} products: filling the catalogue")
    catalogue.fill(place.engine, products)
    figures = [_run(place, products, "first prices")]
    catalogue.change_all(place.engine, "0.02")
    catalogue.tidy(place.engine)
    figures.append(_run(place, products, "all"))
    catalogue.change_one_in_ten(place.engine)
    figures.append(_run(place, products, "one in ten"))
    return figures


def _run(place: Arena, products: int, changed: str) -> dict[str, Any]:
    figures = runs.measured(place, products, changed)
    console.print(f"· {products:,} products, {changed}: {figures['products_per_s']:,.0f} a second")
    return figures


def _beside(place: Arena, products: int) -> dict[str, Any]:
    return event_latency.measured(place, products, say=lambda line: console.print(f"· {line}"))


if __name__ == "__main__":
    main()
