"""`python -m deploy.native`: start, stop and inspect the native stack."""

import os
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.table import Table

from deploy import home as pricing_home
from deploy.native import logs as log_files
from deploy.native import plan, processes, programs, stack
from deploy.status import TIMEOUT_S, StatusReport
from shared.printable import printable
from shared.wording import meant

_LINES, TAB = 50, "\t"


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """PostgreSQL, Redis and the pricing engine as processes of this machine, all below PRICING_HOME."""
    context.obj = pricing_home.locate(os.environ)


@main.command()
@click.option("--only", default="", metavar="NAMES", help="Programs, with commas: postgres,redis.")
@click.option("--empty", "is_empty", is_flag=True, help="Leave the demo catalogue out.")
@click.pass_obj
def up(home: Path, only: str, *, is_empty: bool) -> None:
    """Start the programs that do not run, wait until they are ready, print the addresses."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    started = stack.up(home, os.environ, names, lambda line: click.echo(f"· {line}"), is_empty=is_empty)
    _print_addresses(started)


@main.command()
@click.pass_obj
def down(home: Path) -> None:
    """Stop everything; data is kept."""
    ran = stack.down(home, lambda line: click.echo(f"· {line}"))
    click.echo(f"Everything is stopped; the data stays in {home}." if ran else "Nothing runs.")


@main.command()
@click.pass_context
def status(context: click.Context) -> None:
    """Show every program, the servers and waiting work; exit code 0 when all is well."""
    now = plan.read(context.obj, os.environ)
    found = now.supervisor.programs()
    if not found:
        orphans = len(processes.leftovers(now.home))
        left = (
            f" {orphans} processes have outlived their supervisor: `just up` or `just down` ends them."
            if orphans
            else ""
        )
        click.echo(f"Nothing runs.{left}")
        context.exit(1)
    table = Table("program", "state", "pid", "uptime", "address")
    for name in now.state.programs:
        program = found[name]
        pid, uptime = (str(program.pid), str(timedelta(seconds=program.now - program.start)))
        table.add_row(name, program.statename, *((pid, uptime) if program.pid else ("", "")), now.address(name))
    console = Console()
    console.print(table)
    is_well = all(found[name].statename == "RUNNING" for name in now.state.programs)
    if found["api"].lives:
        scrapes = {group: partial(_scrape, now, group) for group in programs.APPS}
        report = StatusReport(now.address("api"), scrapes, pricing_home.authorization(now.home))
        console.print(report.drawn())
        is_well &= report.is_well
    context.exit(0 if is_well else 1)


@main.command()
@click.argument("service", required=False)
@click.option("--follow", "-f", is_flag=True, help="Continue with new lines.")
@click.pass_obj
def logs(home: Path, service: str | None, follow: bool) -> None:
    """Show the last lines of every log, or of one SERVICE."""
    known = (*programs.NAMES, "supervisord")
    if service and service not in known:
        raise click.UsageError(
            f"There is no service {service}{meant(service, known) or ';'} there are {', '.join(known)}."
        )
    names = [service] if service else known
    paths = {name: pricing_home.log_file(home, name) for name in names}
    for name, path in paths.items():
        for line in log_files.tail(path, _LINES):
            _print_line(name, line)
    if follow:
        with suppress(KeyboardInterrupt):
            for name, line in log_files.follow(paths):
                _print_line(name, line)


def _print_line(name: str, line: str) -> None:
    # PostgreSQL logs foreign texts unescaped, and indents by tabs.
    click.echo(f"{name:<11} {printable(line, keep=TAB)}")


def _scrape(now: plan.Stack, group: str) -> str:
    address = now.address(group).removesuffix("/metrics")
    # Our own process on our own address, as in `readiness`.
    url, headers = f"{address}/metrics", pricing_home.authorization(now.home)
    answer = httpx.get(url, headers=headers, timeout=TIMEOUT_S, trust_env=False, verify=False)  # noqa: S501
    return answer.raise_for_status().text


def _print_addresses(now: plan.Stack) -> None:
    found = now.supervisor.programs()
    running = [name for name in now.state.programs if found[name].lives]
    click.echo()
    for name in running:
        click.echo(f"{name:<11} {now.address(name)}")
    if "api" in running:
        click.echo(f"{'docs':<11} {now.address('api')}/docs")
        click.echo(f"{'metrics':<11} {now.address('api')}/metrics")
        click.echo(f"{'traces':<11} just trace")
        click.echo(f"{'admin key':<11} just key")
    click.echo(f"{'stop':<11} just down")


if __name__ == "__main__":
    main()
