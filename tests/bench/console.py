"""`python -m tests.bench.console`: how fast the console searches and pages, and what it costs price queries.

Exit code 0: every bar was met, 1: one was not.
"""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import quantiles
from urllib.parse import quote

import click
from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.judge import Bar
from tests.bench.recalculation import arena, catalogue, open_loop, runs
from tests.bench.recalculation.arena import Arena
from tests.e2e.console.browsing import Visitor, visitor
from tests.load import histogram
from tests.support import chromium
from tests.support.ending import ends_once
from tests.support.waiting import eventually

PRODUCTS, QUICK_PRODUCTS = 1_000_000, 100_000
VIEWS = 30
SEARCH_MS, OVERVIEW_MS, BESIDE, PAINT_MS = 300, 100, 1.2, 1_000
# A merchant who looks around quickly.
PAGES_PER_S = 2
READS_PER_S, READ_S, ROUNDS = 200, 10.0, 3
HTTP = "http_request_duration_seconds"
NEXT = re.compile(r'href="(/console/products\?[^"]*cursor=[^"]*)"')
PAINTED = (
    "/console",
    "/console/products",
    f"/console/products/{catalogue.product_id(1)}",
    "/console/rules",
    "/console/rules/policy",
    "/console/plans",
    "/console/holds",
    "/console/events",
    "/console/jobs",
    "/console/try",
    "/console/access",
)
# Half a second after the load; what a browser's observer has seen so far comes to it at once.
PAINT = """() => new Promise((done) => {
    let shift = 0;
    const add = (list) => list.getEntries().forEach((entry) => { shift += entry.value; });
    new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
    const look = () => done([performance.getEntriesByName("first-contentful-paint")[0].startTime, shift]);
    setTimeout(look, 500);
})"""

console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


@click.command()
@click.option("--quick", is_flag=True, help="With 100,000 products in place of a million.")
@click.option("--products", default=0, type=click.IntRange(0), help="With so many; 0: a million.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(quick: bool, products: int, json_file: Path | None) -> None:
    """Look at a large catalogue on servers of its own; the times are those of the server's own histogram."""
    ends_once()
    count = products or (QUICK_PRODUCTS if quick else PRODUCTS)
    with arena.running() as place:
        console.print(f"· {count:,} products: filling the catalogue")
        catalogue.fill(place.engine, count)
        runs.measured(place, count, "first prices")
        catalogue.tidy(place.engine)
        with visitor(place.engine, "admin") as person:
            found = {way: _median_ms(place, person, path) for way, path in _ways(person, count)}
            reads = _reads(place, person, count)
        paints = _paints(place)
    bars = [Bar(way, ms, "≤", OVERVIEW_MS if way == "overview" else SEARCH_MS, " ms") for way, ms in found.items()]
    bars.append(Bar("a price query beside the console, median : alone", reads["beside"] / reads["alone"], "≤", BESIDE))
    for path, (paint_ms, shift) in paints.items():
        bars.append(Bar(f"first paint of {path}", paint_ms, "≤", PAINT_MS, " ms"))
        bars.append(Bar(f"layout shift of {path}", shift, "≤", 0))
    table = Table(f"{count:,} products; median of {VIEWS} views", "figure", "limit", "", box=box.SIMPLE_HEAD)
    for bar in bars:
        table.add_row(bar.what, f"{bar.measured:,.2f}{bar.unit}", f"≤ {bar.bound}{bar.unit}", "✓" if bar.holds else "✗")
    console.print(table)
    if json_file is not None:
        judged = [{"bar": bar.what, "figure": bar.measured, "limit": bar.bound, "met": bar.holds} for bar in bars]
        json_file.write_text(json.dumps({"products": count, "ms": found, "reads_ms": reads, "bars": judged}, indent=1))
    sys.exit(any(not bar.holds for bar in bars))


def _ways(person: Visitor, count: int) -> Iterator[tuple[str, Callable[[], str]]]:
    """What is looked at, and the address of one more view of it."""
    dice = Random(count)

    def search(text: Callable[[int], str], more: str = "") -> Callable[[], str]:
        return lambda: f"/console/products?q={quote(text(dice.randint(1, count)))}{more}"

    yield "overview", lambda: "/console"
    yield "the first page", lambda: "/console/products"
    yield "an id", search(catalogue.product_id)
    yield "the beginning of an id", search(lambda number: catalogue.product_id(number)[:-2])
    yield "a rare word", search(lambda number: str(number))
    yield "a common word", search(lambda _: "product")
    yield "a common word and a rare one", search(lambda number: f"product {number}")
    yield "the beginning of a word", search(lambda number: str(number)[:2])
    yield "a word that no product has", search(lambda number: f"lamp{number}")
    yield "a word in a category", search(lambda number: str(number), "&category=made+to+order")
    yield "sorted by name", lambda: "/console/products?sort=name&down=true"
    for order in ("product_id", "name"):
        yield f"the next page, by {order}", _turning(person, f"/console/products?sort={order}")


def _turning(person: Visitor, first: str) -> Callable[[], str]:
    """Each view is the page behind the one before."""
    path = first

    def following() -> str:
        nonlocal path
        found = NEXT.search(person.page(path))
        assert found, path
        path = found[1]
        return path

    return following


def _median_ms(place: Arena, person: Visitor, address: Callable[[], str]) -> float:
    addresses = [address() for _ in range(VIEWS)]
    route = addresses[0].partition("?")[0]
    before = _timed(place, route)
    for path in addresses:
        person.page(path)

    def views() -> histogram.Histogram | None:
        found = _timed(place, route) - before
        return found if found.count >= VIEWS else None

    # A process adds its requests to the metrics twenty times a second.
    return eventually(views, f"{VIEWS} views of {route} in the metrics").quantile(0.5) * 1000


def _timed(place: Arena, route: str) -> histogram.Histogram:
    scrape = place.engine.http.get("/metrics").text
    return histogram.read(scrape, HTTP, lambda labels: labels["route"] == route) or histogram.Histogram({})


def _reads(place: Arena, person: Visitor, count: int) -> dict[str, float]:
    """Median latencies of warm price queries, alone and beside somebody who looks around, in turns."""
    hot = [catalogue.product_id(number) for number in range(1, 501)]
    for product_id in hot:
        place.engine.price(product_id)
    paths = [path for _, path in _ways(person, count)]
    found: dict[str, list[float]] = {"alone": [], "beside": []}
    for number in range(ROUNDS):
        console.print(f"· price queries, round {number + 1} of {ROUNDS}")
        found["alone"] += _latencies(place, hot)
        with _looking_around(person, paths):
            found["beside"] += _latencies(place, hot)
    return {name: quantiles(values, n=2)[0] for name, values in found.items()}


def _paints(place: Arena) -> dict[str, tuple[float, float]]:
    """The first paint in milliseconds and the layout shift of pages in Debian's Chromium; none without it."""
    if chromium.PATH is None:
        console.print("· Chromium is missing (apt install chromium): no first paint is measured")
        return {}
    found = {}
    with chromium.chromium() as browser, browser.new_context(base_url=str(place.engine.http.base_url)) as context:
        page = context.new_page()
        page.goto("/console/sign-in")
        page.fill("input[name=key]", place.engine.key)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console")
        for path in PAINTED:
            page.goto(path)
            paint_ms, shift = page.evaluate(PAINT)
            found[path] = float(paint_ms), float(shift)
    return found


def _latencies(place: Arena, hot: list[str]) -> list[float]:
    return open_loop.latencies_ms(place.engine.settings.port, hot, READS_PER_S, READ_S, lambda: True)


@contextmanager
def _looking_around(person: Visitor, paths: list[Callable[[], str]]) -> Iterator[None]:
    over = threading.Event()

    def look() -> None:
        number = 0
        while not over.wait(1 / PAGES_PER_S):
            person.page(paths[number % len(paths)]())
            number += 1

    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look)
        try:
            yield
        finally:
            over.set()
        looking.result()  # a page that failed ends the benchmark


if __name__ == "__main__":
    main()
