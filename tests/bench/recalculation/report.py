"""The figures for people, and whether each bar was met."""

from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table

PER_S = {"all": 15_000, "one in ten": 25_000}
HISTORY_BYTES = 1_000
LARGE, SMALL = 1_000_000, 100_000
COST_RATIO = 1.25
MEMORY_MB, MEMORY_SPREAD_MB = 250, 15
IDLE_P50_MS, IDLE_P95_MS, DURING_P95_MS = 100, 300, 1000
READS_RATIO = 3


def bars(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What the figures have to show, what they show, and whether that is enough (None: not measured)."""
    runs = {(run["products"], run["changed"]): run for run in found["runs"]}
    judged = [_per_s(runs.get((LARGE, changed)), changed, least) for changed, least in PER_S.items()]
    judged += [_cost(runs, changed) for changed in PER_S]
    judged += [_memory(found["runs"])]
    grown = max(run["history_bytes_per_change"] for run in found["runs"])
    judged += [_bar("history of one change, bytes", grown, HISTORY_BYTES)]
    if "event_latency_ms" in found:
        idle, during = found["event_latency_ms"]["idle"], found["event_latency_ms"]["during_run"]
        reads = found["reads_ms"]
        ratio = reads["beside_run"]["p99"] / reads["beside_cpu_work"]["p99"]
        judged += [
            _bar("event served, idle, median ms", idle["p50"], IDLE_P50_MS),
            _bar("event served, idle, p95 ms", idle["p95"], IDLE_P95_MS),
            _bar("event served, during a run, p95 ms", during.get("p95"), DURING_P95_MS),
            _bar("warm reads beside a run, p99 against equal CPU work", ratio, READS_RATIO),
        ]
    return judged


def tables(found: dict[str, Any]) -> Group:
    """The runs, where their time goes, and the bars."""
    return Group(_runs(found["runs"]), _shares(found["runs"]), _bars(found["bars"]))


def _per_s(run: dict[str, Any] | None, changed: str, least: int) -> dict[str, Any]:
    figure = run and run["products_per_s"]
    title = f"{LARGE:,} products, changed: {changed}; products/s"
    return {"bar": title, "figure": figure, "limit": least, "met": figure and figure >= least}


def _cost(runs: dict[tuple[int, str], dict[str, Any]], changed: str) -> dict[str, Any]:
    large, small = runs.get((LARGE, changed)), runs.get((SMALL, changed))
    ratio = large["us_per_product"] / small["us_per_product"] if large and small else None
    return _bar(f"cost per product at {LARGE:,} against {SMALL:,}, changed: {changed}", ratio, COST_RATIO)


def _memory(runs: list[dict[str, Any]]) -> dict[str, Any]:
    peaks = {run["products"]: run["peak_mb_per_process"] for run in runs}
    spread = abs(peaks[LARGE] - peaks[SMALL]) if {LARGE, SMALL} <= peaks.keys() else 0.0
    bar = _bar(
        f"memory per worker, MB (spread at most {MEMORY_SPREAD_MB}: {spread:.0f})", max(peaks.values()), MEMORY_MB
    )
    return bar | {"met": bar["met"] and spread <= MEMORY_SPREAD_MB}


def _bar(title: str, figure: float | None, limit: float) -> dict[str, Any]:
    return {"bar": title, "figure": figure, "limit": limit, "met": None if figure is None else figure <= limit}


def _runs(runs: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", no_wrap=True)
    for column in ("products/s", "µs/product", "peak MB/process", "bytes in PostgreSQL", "bytes in Redis"):
        table.add_column(column, justify="right")
    for run in runs:
        figures = (
            run["products_per_s"],
            run["us_per_product"],
            run["peak_mb_per_process"],
            run["postgres_bytes_per_product"],
            run["redis_bytes_per_product"],
        )
        table.add_row(_title(run), *(f"{figure:,.0f}" for figure in figures))
    return table


def _shares(runs: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("share of the workers' time; CPU", no_wrap=True)
    stations, programs = list(runs[-1]["stations"]), list(runs[-1]["cpu_us_per_product"])
    for column in (*stations, *(f"{program} µs" for program in programs)):
        table.add_column(column, justify="right")
    for run in runs:
        shares = (f"{run['stations'].get(name, 0):.0%}" for name in stations)
        used = (f"{run['cpu_us_per_product'][name]:.0f}" for name in programs)
        table.add_row(_title(run), *shares, *used)
    return table


def _bars(judged: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("bar", no_wrap=True)
    for column in ("figure", "limit", ""):
        table.add_column(column, justify="right")
    for bar in judged:
        figure = "not measured" if bar["figure"] is None else f"{bar['figure']:,.2f}"
        table.add_row(bar["bar"], figure, f"{bar['limit']:,}", {None: "–", True: "✓", False: "✗"}[bar["met"]])
    return table


def _title(run: dict[str, Any]) -> str:
    return f"{run['products']:,}, changed: {run['changed']}"
