"""`python -m tests.bench.changes`: how soon a change reaches a client of the stream, and a webhook.

Exit code 0: every bar was met, 1: one was not, 2: the machine was too busy to tell.
"""

import json
import sys
from pathlib import Path

import click
from rich import box
from rich.table import Table

from tests.bench import report
from tests.bench.changes import latency
from tests.bench.changes.arrivals import watching
from tests.bench.changes.latency import Found
from tests.bench.judge import Bar
from tests.bench.recalculation import arena
from tests.support.ending import ends_once

LATEST_MS = 200
# A control that sleeps is woken so late on a machine that others use.
BUSY_MS = 10
LOOPBACK = {"PRICING_WEBHOOK_NETWORKS": "127.0.0.1/32"}
console = report.console()


@click.command()
@click.option("--quick", is_flag=True, help="20 changes and 4 promotions: within half a minute.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(quick: bool, json_file: Path | None) -> None:
    """Measure changes of prices and the edges of promotions on a stack of its own, in a temporary folder."""
    ends_once()
    changes, promotions, burst = (20, 4, 100) if quick else (200, 15, 1_000)
    with arena.running(**LOOPBACK) as place, watching(place.engine) as seen:
        console.print(f"· {changes} changes of a price, one after the other")
        prices = latency.of_prices(place.engine, seen, changes)
        console.print(f"· {burst:,} changes of {latency.PRODUCTS} products, as fast as they are accepted")
        disorder = latency.disorder(place.engine, seen, burst)
        console.print(f"· {promotions} promotions that begin and end")
        edges = latency.of_edges(place.engine, seen, promotions)
    bars = [
        *_bars("a new price", prices),
        *_bars("a promotion's beginning or end", edges),
        Bar("products whose changes were missing, repeated or out of order", disorder, "≤", 0),
    ]
    control = prices.median("control")
    console.print(_table(bars))
    console.print(f"control: a sleep of {latency.SLEEP_S * 1000:.0f} ms is {control:.1f} ms late, median")
    if json_file is not None:
        figures = {"prices": prices.as_json(), "edges": edges.as_json(), "control_ms": control}
        found = [{"bar": bar.what, "figure": bar.measured, "limit": bar.bound, "met": bar.holds} for bar in bars]
        json_file.write_text(json.dumps({"benchmark": "changes", **figures, "bars": found}, indent=1))
    if control > BUSY_MS:
        console.print("Inconclusive: the machine is too busy. Try again when less runs here.")
        sys.exit(2)
    sys.exit(not all(bar.holds for bar in bars))


def _bars(what: str, found: Found) -> list[Bar]:
    return [
        Bar(f"{what} at {receiver}, median of {len(found.ms[name])}", found.median(name), "≤", LATEST_MS, " ms")
        for name, receiver in (("stream", "a client of the stream"), ("webhook", "a webhook"))
    ]


def _table(bars: list[Bar]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("bar", "figure", "limit", ""):
        table.add_column(column, justify="left" if column == "bar" else "right", no_wrap=True)
    for bar in bars:
        mark = "✓" if bar.holds else "✗"
        table.add_row(bar.what, f"{bar.measured:,.0f}{bar.unit}", f"{bar.sign} {bar.bound:,}{bar.unit}", mark)
    return table


if __name__ == "__main__":
    main()
