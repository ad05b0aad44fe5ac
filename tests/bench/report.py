"""The figures, for people."""

from collections.abc import Iterator

from rich import box
from rich.console import Console, Group
from rich.table import Table

from tests.bench.judge import Bar
from tests.bench.outcome import Outcome
from tests.bench.series import FIGURES, Series

WIDTH = 140  # of what is not a terminal
# From here on the load, or what shares its core, may be what is measured.
SATURATED = 0.9
# From here on others on this machine may be what is measured.
DISTURBED = 0.1


def console() -> Console:
    """Where all is printed."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)


def tables(found: Outcome) -> Group:
    """All series, then all bars, then what is to be said about them."""
    parts = [_series(found)] if found.series else []
    return Group(*parts, _bars(found), *_remarks(found))


def _series(found: Outcome) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("one process, medians of the rounds", no_wrap=True)
    for column in ("requests/s", "p50 ms", "p99 ms", "CPU µs/request", "memory MB", "load's core busy", "wrk"):
        table.add_column(column, justify="right")
    for one in found.series:
        figures = {name: one.median(figure) for name, figure in FIGURES.items()}
        table.add_row(
            one.title,
            f"{figures['requests_per_s']:,.0f}",
            f"{figures['p50_ms']:.2f}",
            f"{figures['p99_ms']:.2f}",
            f"{figures['cpu_us_per_request']:.0f}",
            f"{figures['rss_mb']:.0f}",
            f"{figures['others_busy']:.0%}",
            f"{figures['load_cpu_share']:.0%}",
        )
    return table


def _bars(found: Outcome) -> Table:
    table = Table("what must be shown", "", "", "", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[1].justify = table.columns[2].justify = "right"
    for bar in (*found.bars, *found.controls):
        mark = "[green]✓[/]" if bar.holds else "[red]✗[/]"
        table.add_row(bar.what, _figure(bar, bar.measured), f"{bar.sign} {_figure(bar, bar.bound)}", mark)
    return table


def _figure(bar: Bar, value: float) -> str:
    return f"{value:,.0f}{bar.unit}" if abs(value) >= 1000 else f"{value:.3g}{bar.unit}"


def _remarks(found: Outcome) -> Iterator[str]:
    for one in found.series:
        for fault in one.faults:
            yield f"[red]✗[/] {one.title} does not count: {fault}"
        yield from _noise(one)


def _noise(one: Series) -> Iterator[str]:
    load, core, disturbed = (one.median(FIGURES[name]) for name in ("load_cpu_share", "others_busy", "disturbed"))
    if core > SATURATED:
        yield f"[yellow]![/] {one.title}: nothing was left of the load's core (wrk took {load:.0%} of it)"
    if disturbed > DISTURBED:
        yield f"[yellow]![/] {one.title}: something else took {disturbed:.0%} of the server's core"
