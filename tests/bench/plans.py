"""`python -m tests.bench.plans`: how fast a whole catalogue is planned, and whether its application is the plan.

Exit code 0: every bar was met, 1: one was not.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.judge import Bar
from tests.bench.recalculation import arena, catalogue, event_latency, runs
from tests.bench.recalculation.arena import Arena
from tests.bench.recalculation.report import READS_RATIO
from tests.support.ending import ends_once

LARGE, SMALL = 1_000_000, 10_000
LARGE_S, SMALL_S, QUERY_S, RATIO, MEMORY_MB, GROWTH_MB = 45, 1, 35, 0.8, 250, 10
TIMEOUT_S = 600
QUERY = {"name": "members", "is_prime_member": True, "quantity": 3, "volume": "10"}

console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


@click.command()
@click.option("--quick", is_flag=True, help="With 100,000 products in place of a million.")
@click.option("--products", default=0, type=click.IntRange(0), help="With so many; 0: a million.")
@click.option("--beside", "is_beside", is_flag=True, help="Also reads beside a plan.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(quick: bool, products: int, is_beside: bool, json_file: Path | None) -> None:
    """Plan and apply changes of the policy on servers of its own, beside a recalculation."""
    ends_once()
    large = products or (100_000 if quick else LARGE)
    with arena.running() as place:
        small = _measured(place, SMALL)
    with arena.running() as place:
        found = _measured(place, large)
        if is_beside:
            found["reads_ms"] = event_latency.reads_beside(place, "plan", _planning(place), _say)
    bars = _bars(found, small)
    console.print(_table(found, small), _judged(bars))
    if json_file is not None:
        judged = [{"bar": bar.what, "figure": bar.measured, "limit": bar.bound, "met": bar.holds} for bar in bars]
        json_file.write_text(json.dumps({"large": found, "small": small, "bars": judged}, indent=1))
    sys.exit(any(not bar.holds for bar in bars))


def _measured(place: Arena, products: int) -> dict[str, Any]:
    console.print(f"· {products:,} products: filling the catalogue")
    catalogue.fill(place.engine, products)
    runs.measured(place, products, "first prices")
    catalogue.change_all(place.engine, "0.02")
    catalogue.tidy(place.engine)
    runs.measured(place, products, "all")
    catalogue.change_one_in_ten(place.engine)
    run = runs.measured(place, products, "one in ten")
    catalogue.tidy(place.engine)
    found: dict[str, Any] = {"products": products, "run": run, "memory_before_mb": max(place.worker_peaks_mb())}
    found["one in ten"] = _plan(place, _markup(place, "0.6"))
    peak = max(place.worker_peaks_mb())
    found["again"] = _plan(place, _markup(place, "0.6"))
    found["memory_growth_mb"] = max(place.worker_peaks_mb()) - peak
    found["with a query"] = _plan(place, _markup(place, "0.6"), queries=[QUERY])
    found["all"] = _plan(place, _undercut(place, "5"))
    found["applied"] = _applied(place, found["one in ten"]["plan_id"])
    found["memory_mb"] = max(place.worker_peaks_mb())
    return found


def _markup(place: Arena, markup: str) -> dict[str, Any]:
    """A policy by which one product in ten has another price."""
    policy = place.engine.http.get("/api/v1/rulebook").json()["policy"]
    policy["strategies"]["cost"]["cost_plus"]["markup"] = markup
    return {"policy": policy}


def _undercut(place: Arena, percent: str) -> dict[str, Any]:
    """A policy by which nearly every product has another price."""
    policy = place.engine.http.get("/api/v1/rulebook").json()["policy"]
    for strategy in ("market", "cost"):
        policy["strategies"][strategy]["competitor"]["position"]["percent"] = percent
    return {"policy": policy}


def _plan(place: Arena, change: dict[str, Any], **options: Any) -> dict[str, Any]:
    cpu, answer = place.cpu_s(), place.engine.http.post("/api/v1/plans", json={"changes": [change], **options})
    assert answer.status_code == 202, answer.text
    plan = _reached(place, answer.json()["plan_id"], "ready")
    query = "SELECT extract(epoch FROM ready_at - created_at) AS s FROM plans WHERE plan_id = %s"
    seconds = float(place.engine.sql(query, plan["plan_id"])[0]["s"])
    result = plan["result"]
    used = {name: spent - cpu[name] for name, spent in place.cpu_s().items()}
    console.print(f"· planned {result['products']:,}: {seconds:.1f} s, {result['rise'] + result['fall']:,} move")
    return {
        "plan_id": plan["plan_id"],
        "seconds": seconds,
        "products": result["products"],
        "moved": result["rise"] + result["fall"],
        "cpu_us_per_product": {name: spent / result["products"] * 1e6 for name, spent in used.items()},
    }


@contextmanager
def _planning(place: Arena) -> Iterator[Callable[[], bool]]:
    """A plan that moves nearly every price, being made within the block; whether it still is."""
    answer = place.engine.http.post("/api/v1/plans", json={"changes": [_undercut(place, "6")]})
    assert answer.status_code == 202, answer.text
    path = f"/api/v1/plans/{answer.json()['plan_id']}"
    while not place.engine.http.get(path).json()["progress"]["done"]:
        time.sleep(runs.POLL_S)
    yield lambda: place.engine.http.get(path).json()["status"] == "running"
    _reached(place, answer.json()["plan_id"], "ready")


def _say(what: str) -> None:
    console.print(f"· {what}")


def _applied(place: Arena, plan_id: str) -> dict[str, Any]:
    begun = time.monotonic()
    answer = place.engine.http.post(f"/api/v1/plans/{plan_id}/apply")
    assert answer.status_code == 202, answer.text
    answered = time.monotonic() - begun
    plan = _reached(place, plan_id, "applied")
    seconds = time.monotonic() - begun
    differing = place.engine.sql(_DIFFERING, plan_id)[0]["n"]
    console.print(f"· applied: {seconds:.1f} s, {differing} prices differ from the plan's")
    return {
        "seconds": seconds,
        "answered_s": answered,
        "redecided": plan["redecided"],
        "differing": differing,
    }


def _reached(place: Arena, plan_id: str, status: str) -> dict[str, Any]:
    end = time.monotonic() + TIMEOUT_S
    while True:
        plan: dict[str, Any] = place.engine.http.get(f"/api/v1/plans/{plan_id}").json()
        if plan["status"] == status:
            return plan
        assert plan["status"] in ("queued", "running", "ready", "applying"), plan
        assert time.monotonic() < end, f"not within {TIMEOUT_S} s: {plan['status']}"
        time.sleep(runs.POLL_S)


def _bars(found: dict[str, Any], small: dict[str, Any]) -> list[Bar]:
    ratio = found["run"]["seconds"] / found["one in ten"]["seconds"]
    query = found["with a query"]["seconds"] - found["one in ten"]["seconds"]
    bars = [
        Bar("speed of a plan against a run, both moving one price in ten", ratio, "≥", RATIO),
        Bar(f"{SMALL:,} products planned", small["one in ten"]["seconds"], "≤", SMALL_S, " s"),
        Bar("prices that differ from the applied plan's", found["applied"]["differing"], "≤", 0),
        Bar("memory of a worker", found["memory_mb"], "≤", MEMORY_MB, " MB"),
        Bar("growth of a worker's memory by a second plan", found["memory_growth_mb"], "≤", GROWTH_MB, " MB"),
    ]
    if "reads_ms" in found:
        reads = found["reads_ms"]
        ratio = reads["beside_plan"]["p99"] / reads["beside_cpu_work"]["p99"]
        bars.append(Bar("warm reads beside a plan, p99 against equal CPU work", ratio, "≤", READS_RATIO))
    if found["products"] == LARGE:
        bars.append(Bar(f"{LARGE:,} products planned", found["one in ten"]["seconds"], "≤", LARGE_S, " s"))
        bars.append(Bar("a query of the shop's own, more", query, "≤", QUERY_S, " s"))
    return bars


def _table(*measured: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("products", "what", "s", "µs a product", "moved", "worker CPU µs", "postgres CPU µs"):
        table.add_column(column, justify="right")
    for found in measured:
        products, run = found["products"], found["run"]
        cpu = run["cpu_us_per_product"]
        rows = [("recalculation", run["seconds"], run["changed_products"], cpu)]
        rows += [
            (f"plan, {what}", found[what]["seconds"], found[what]["moved"], found[what]["cpu_us_per_product"])
            for what in ("one in ten", "with a query", "all")
        ]
        for what, seconds, moved, used in rows:
            figures = (f"{seconds:.1f}", f"{seconds / products * 1e6:.0f}", f"{moved:,}")
            table.add_row(f"{products:,}", what, *figures, f"{used['worker']:.0f}", f"{used['postgres']:.0f}")
        table.add_row(f"{products:,}", "application", f"{found['applied']['seconds']:.1f}", "", "", "", "")
    return table


def _judged(bars: list[Bar]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("bar", "figure", "limit", ""):
        table.add_column(column, justify="right")
    for bar in bars:
        limit = f"{bar.sign} {bar.bound}{bar.unit}"
        table.add_row(bar.what, f"{bar.measured:,.2f}{bar.unit}", limit, "✓" if bar.holds else "✗")
    return table


_DIFFERING = """
SELECT count(*) AS n FROM plan_items i JOIN prices p USING (product_id)
WHERE i.plan_id = %s AND i.market = '' AND i.redecided IS NULL AND i.new_price <> p.published_price
"""


if __name__ == "__main__":
    main()
