"""`python -m tests.fuzz`: hostile inputs for every way into the engine, on a private stack in a temporary folder.

Exit code 0: it held, 1: it did not, 2: wrong usage, 3: the stack did not start.
"""

import json
import sys
import time
from math import ceil
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from deploy.errors import StackError
from tests.fuzz import openapi
from tests.fuzz.targets import TARGETS, drive
from tests.fuzz.watch import Watch
from tests.support import private_stack
from tests.support.ending import ends_once
from tests.support.private_stack import PrivateStack

# How many of all inputs a way gets. An import or a policy takes as long as a hundred requests.
SHARES = {"http": 0.65, "channel": 0.3, "import": 0.03, "policy": 0.01, "rulebook": 0.01}
OPENAPI = "openapi"
WAYS = (*TARGETS, OPENAPI)
# Further examples of each operation, in the warm-up and in the last round.
OPENAPI_SHARE = 1 / 1_000
# Full after the first inputs, so that growth later is a leak.
NEAR_CACHE_ENTRIES = 200
# Rounds of one size after the warm-up, which is as long as one of them. Memory is measured after each.
ROUNDS = 3
LARGEST_GROWTH_MB = 20.0
LONGEST_HEALTH_S = 1.0


@click.command()
@click.argument("names", nargs=-1, metavar="[http|channel|import|policy|rulebook|openapi]...", type=click.Choice(WAYS))
@click.option("--inputs", default=200_000, show_default=True, type=click.IntRange(100), help="Of all ways together.")
@click.option("--seed", default=1, show_default=True, help="The same seed, the same inputs.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures.")
def main(names: tuple[str, ...], inputs: int, seed: int, json_file: Path | None) -> None:
    """Send hostile inputs over HTTP and the channel and into imports, policies and rulebooks, and requests made
    from OpenAPI.

    Nothing may end with a server error, no process may die, /health/live answers within a second, and no program's
    processes grow by more than 20 MB together after a warm-up that sends every kind of input. Each round shows it.
    """
    ends_once()
    console = Console(highlight=False)
    try:
        with private_stack.running(PRICING_NEAR_CACHE_ENTRIES=str(NEAR_CACHE_ENTRIES)) as stack:
            found = _fuzz(stack, names or WAYS, inputs, seed, console)
    except StackError as error:
        console.print(f"[red]The stack did not start:[/] {escape(str(error))}")
        sys.exit(3)
    if json_file:
        json_file.write_text(json.dumps(found, indent=2))
    console.print("[green]it held[/]" if found["held"] else "[red]it did not hold[/]")
    sys.exit(0 if found["held"] else 1)


def _fuzz(stack: PrivateStack, names: tuple[str, ...], inputs: int, seed: int, console: Console) -> dict[str, object]:
    watch = Watch(stack.processes, str(stack.engine.http.base_url))
    family, failures, sent = watch.family(), list[str](), 0
    memory: list[dict[str, list[float]]] = []
    for number in range(ROUNDS + 1):
        # First calls import modules, open connections and begin threads, whose memory stays: before it is measured,
        # each way has sent some of its inputs, and every operation was called.
        for name in [name for name in WAYS if name in names and (name != OPENAPI or number in {0, ROUNDS})]:
            began = time.monotonic()
            with watch.watching():
                count, found = _send(stack, name, names, inputs / (ROUNDS + 1), seed + 1_000_000 * number)
            sent, failures = sent + count, failures + found
            took = f"round {number} of {ROUNDS}: {name}: {count:,} inputs in {time.monotonic() - began:.0f} s"
            console.print(f"· {took}; MB: {_listed(size := watch.megabytes())}")
        memory.append(size)
    before, after = memory[0], memory[-1]
    growth = {name: sum(after[name]) - sum(before[name]) for name in after}
    if watch.family() != family:
        failures.append(f"a process died: {family} before, {watch.family()} after")
    failures += [f"/health/live: {each}" for each in watch.failures[:10]]
    for line in failures:
        console.print(f"[red]{escape(line)}[/]")
    console.print(f"· {sent:,} inputs; /health/live at most {watch.slowest_s:.2f} s")
    grown = ", ".join(f"{name} {more:.0f}" for name, more in growth.items())
    console.print(f"· growth since the warm-up, MB: {grown}")
    is_small = all(each <= LARGEST_GROWTH_MB for each in growth.values())
    return {
        "held": not failures and is_small and watch.slowest_s <= LONGEST_HEALTH_S,
        "inputs": sent,
        "slowest_health_s": watch.slowest_s,
        "growth_mb": growth,
        "memory_mb": memory,
        "failures": failures,
    }


def _send(
    stack: PrivateStack, name: str, names: tuple[str, ...], inputs: float, first_seed: int
) -> tuple[int, list[str]]:
    """Send one way's share of these inputs; returns their number, and what failed."""
    if name == OPENAPI:
        return openapi.run(stack.engine, max(2, round(inputs * OPENAPI_SHARE)), first_seed)
    count = max(1, ceil(inputs * SHARES[name] / sum(SHARES.get(each, 0) for each in names)))
    target = TARGETS[name](stack.engine)
    try:
        drive(target, count, first_seed)
        target.close()
    except Exception as error:  # noqa: BLE001 # of any kind: the other ways are fuzzed, too
        return count, [f"{name}: {error!r} {' '.join(getattr(error, '__notes__', ()))}"]
    return count, []


def _listed(sizes: dict[str, list[float]]) -> str:
    return ", ".join(f"{name} {'+'.join(f'{size:.0f}' for size in of)}" for name, of in sizes.items())


if __name__ == "__main__":
    main(prog_name="just fuzz")
