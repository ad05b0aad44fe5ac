"""`python -m tests.bench.events`: how fast market events become prices, and what the queue costs when it is idle.

Exit code 0: every bar was met, 1: one was not.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.events import burst, idle, waiting
from tests.bench.judge import Bar
from tests.bench.recalculation import arena, catalogue, event_latency
from tests.support.ending import ends_once

PRODUCTS = 20_000
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


@click.command()
@click.option("--quick", is_flag=True, help="A burst of 20,000 events, and 50 single ones: within a minute.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(quick: bool, json_file: Path | None) -> None:
    """Measure events on servers of its own, in a temporary folder."""
    ends_once()
    with arena.running() as place:
        console.print(f"· {PRODUCTS:,} products: filling the catalogue")
        catalogue.fill(place.engine, PRODUCTS)
        catalogue.change_all(place.engine, "0.02")
        place.engine.ended(place.engine.recalculate())
        catalogue.tidy(place.engine)
        found: dict[str, Any] = {"products": PRODUCTS}
        for name, measure in (
            ("latency_ms", lambda: event_latency.idle(place, PRODUCTS, 50 if quick else 200)),
            ("waiting", lambda: waiting.measured(place)),
            ("burst", lambda: burst.measured(place, PRODUCTS, 20_000 if quick else 100_000)),
            ("idle", lambda: idle.measured(place)),
        ):
            found[name] = measure()
            console.print(f"· {name}: {_line(found[name])}")
    bars = _bars(found)
    console.print(_table(bars))
    found["bars"] = [{"bar": bar.what, "figure": bar.measured, "limit": bar.bound, "met": bar.holds} for bar in bars]
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1))
    sys.exit(not all(bar.holds for bar in bars))


def _bars(found: dict[str, Any]) -> list[Bar]:
    burst_found = found["burst"]
    return [
        Bar("event to served price on an idle stack, median", found["latency_ms"]["p50"], "≤", 30, "ms"),
        Bar(f"{waiting.EVENTS:,} events that waited for a listener", found["waiting"]["served_s"], "≤", 5, "s"),
        Bar("burst: events lost", burst_found["lost"], "≤", 0),
        Bar("burst: events completed", burst_found["events_per_s"], "≥", 1_500, "/s"),
        Bar("burst: memory of the listener", burst_found["listener_peak_mb"], "<", 250, "MB"),
        Bar(f"sweep beside {idle.DUE_LATER:,} targets due later", found["idle"]["core_share"], "<", 0.02, "core"),
    ]


def _table(bars: list[Bar]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("bar", "figure", "limit", ""):
        table.add_column(column, justify="left" if column == "bar" else "right", no_wrap=True)
    for bar in bars:
        figure = f"{bar.measured:,.3g}" if bar.measured < 10 else f"{bar.measured:,.0f}"
        limit = f"{bar.sign} {bar.bound:,} {bar.unit}"
        table.add_row(bar.what, f"{figure} {bar.unit}", limit, "✓" if bar.holds else "✗")
    return table


def _line(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {figure:,.4g}" for name, figure in figures.items())


if __name__ == "__main__":
    main()
