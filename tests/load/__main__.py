"""`python -m tests.load`: Locust against a private stack, or against the running one, judged on the server's histogram.

Exit code 0: within the limits, 1: beyond one, 2: inconclusive, 3: nothing was measured.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import redis

from deploy.errors import StackError
from deploy.ports import free_port
from tests.load import catalogue, mix, outcome, report
from tests.load.histogram import CountedBackwards
from tests.load.judge import EXIT_CODES
from tests.support import private_stack, running_stack
from tests.support.ending import ends_once
from tests.support.running_stack import RunningStack

REPOSITORY = Path(__file__).resolve().parents[2]
SCRAPE_SETTLE_S = 1.0
console = report.console()


class NotMeasured(click.ClickException):
    """There are no figures; exit code 3."""

    exit_code = 3


@click.command()
@click.option("--users", default=50, show_default=True, type=click.IntRange(mix.CONTROLS + 2), help="At once.")
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(1), help="How long.")
@click.option("--ui", is_flag=True, help="Open Locust's own page instead; nothing is judged.")
@click.option("--here", "is_here", is_flag=True, help="Use the running stack: products LOAD-… exist there meanwhile.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(users: int, seconds: int, json_file: Path | None, *, ui: bool, is_here: bool) -> None:
    """Put load on a private stack: prices hot and cold, single and bulk, market events, a control."""
    ends_once()
    with ExitStack() as undo:
        stack = running_stack.find() if is_here else undo.enter_context(_private())
        folder = running_stack.home() / "load"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        cold_count = mix.cold_products(users, seconds)
        console.print(f"· {stack.kind} stack at {stack.url}")
        if is_here:
            undo.callback(_remove, stack, cold_count)
        _prepare(stack, cold_count)
        options = ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"]
        command = [*_locust(stack, cold_count), *options]
        if ui:
            sys.exit(_open_page(command))
        before = _scrape(stack)
        console.print(f"· {users} users for {seconds} s")
        client = _run(command, folder)
        # A request is counted after its answer has been sent.
        time.sleep(SCRAPE_SETTLE_S)
        try:
            found = outcome.of(before, _scrape(stack), client)
        except CountedBackwards:
            raise click.ClickException(
                "the API was started anew during the load; its log says why: `just logs api`"
            ) from None
    console.print(report.table(found))
    console.print(f"Locust's report: {folder / 'report.html'}")
    if json_file:
        json_file.write_text(json.dumps(report.as_json(found), indent=2))
    sys.exit(EXIT_CODES[found.verdict])


@contextmanager
def _private() -> Iterator[RunningStack]:
    console.print("· a private stack starts; yours is not touched (`--here` uses it)")
    try:
        with private_stack.running() as private:
            home, known = private.engine.home, private.engine.settings
            yield RunningStack("private", home, f"http://127.0.0.1:{known.port}", known)
            console.print("· the private stack stops")
    except StackError as error:
        raise NotMeasured(str(error)) from None


def _prepare(stack: RunningStack, cold_count: int) -> None:
    try:
        written = catalogue.prepare(stack, cold_count)
    except (httpx.HTTPError, redis.RedisError, OSError) as error:
        raise NotMeasured(f"the load's products cannot be prepared: {error}") from None
    console.print(
        f"· {len(catalogue.HOT)} hot and {cold_count} cold products {catalogue.PREFIX}…, {written} of them new"
    )


def _remove(stack: RunningStack, cold_count: int) -> None:
    try:
        console.print(f"· {catalogue.remove(stack, cold_count)} products {catalogue.PREFIX}… are deleted again")
    except httpx.HTTPError as error:
        console.print(
            f"· the products {catalogue.PREFIX}… stay: {error}; `just delete product --category load --confirm`"
        )


def _locust(stack: RunningStack, cold_count: int) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(Path(__file__).with_name("locustfile.py"))),
        *("--host", stack.url, "--key-file", str(stack.key_file), "--cold-products", str(cold_count)),
    ]


def _open_page(command: list[str]) -> int:
    port = free_port()
    console.print(f"· Locust's page: http://127.0.0.1:{port} (Ctrl-C ends it)")
    page = ["--web-host", "127.0.0.1", "--web-port", str(port), "--loglevel", "WARNING"]
    try:
        return subprocess.run([*command, *page], cwd=REPOSITORY, check=False).returncode
    except KeyboardInterrupt:
        return 0


def _run(command: list[str], folder: Path) -> list[dict[str, Any]]:
    """Run Locust without its page; its statistics."""
    stats = folder / "stats.json"
    stats.unlink(missing_ok=True)
    files = ["--html", str(folder / "report.html"), "--json-file", str(stats.with_suffix(""))]
    log = folder / "locust.log"
    quiet = ["--headless", "--stop-timeout", str(mix.TIMEOUT_S), "--logfile", str(log), "--only-summary"]
    # Failed requests are for the judge: only Locust's own failure is a code that is not 0.
    done = subprocess.run(
        [*command, *files, *quiet, "--exit-code-on-error", "0"],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode or not stats.exists():
        raise NotMeasured(f"Locust did not run to its end (exit code {done.returncode}): see {log}")
    found: list[dict[str, Any]] = json.loads(stats.read_text())
    return found


def _scrape(stack: RunningStack) -> str:
    return httpx.get(f"{stack.url}/metrics", timeout=30, trust_env=False).raise_for_status().text


if __name__ == "__main__":
    try:
        main(prog_name="just load", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(NotMeasured.exit_code)  # Click's own code for it is 2, which means inconclusive here
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
