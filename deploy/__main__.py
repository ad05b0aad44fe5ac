"""`python -m deploy`: the stack, in containers where there is a Docker engine, else as local processes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from deploy import backup as backups
from deploy import home
from deploy.compose import __main__ as docker
from deploy.compose import command, passwords
from deploy.compose import database as compose_database
from deploy.database import Database
from deploy.native import __main__ as native
from deploy.native import database as native_database
from deploy.native import state
from deploy.offer_keys import OFFER_KEYS, new_offer_key
from deploy.running import running
from shared.wording import meant

COMMANDS = {"native": native.main, "docker": docker.main}


@click.group()
def main() -> None:
    """Start, stop and inspect the stack, native or in containers."""


@main.command()
@click.argument("arguments", nargs=-1, metavar="[native|docker] [monitoring] [SERVICE=N]…")
@click.option("--empty", "is_empty", is_flag=True, help="Leave the demo catalogue out, now and at later starts.")
def up(arguments: tuple[str, ...], *, is_empty: bool) -> None:
    """Start the programs that do not run, wait until they are ready, print the addresses."""
    wanted, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] in COMMANDS else (None, arguments)
    if wrong := [argument for argument in rest if "=" not in argument and argument != docker.MONITORING]:
        hint = meant(wrong[0], [*COMMANDS, docker.MONITORING]) or ";"
        raise click.UsageError(
            f"unknown argument {wrong[0]}{hint} try `just up`, `just up native`, `just up docker worker=3`."
        )
    runs = next(iter(running()), None)
    if runs and wanted and runs != wanted:
        raise click.ClickException(f"The {runs} stack runs: `just down` first.")
    reason = None if wanted or runs else command.why_no_engine()
    kind = wanted or runs or ("native" if reason else "docker")
    if kind == "native" and rest:
        raise click.UsageError(
            "A native stack is scaled by PRICING_API_PROCESSES and PRICING_WORKER_PROCESSES. "
            "For monitoring use a Prometheus of your own; deploy/monitoring has its files."
        )
    if reason and shutil.which("docker"):
        click.echo(f"· Docker is installed, but cannot be used: {reason}")
    click.echo(f"· {kind} stack")
    _do(kind, "up", *rest, *(["--empty"] if is_empty else []))


@main.command()
def down() -> None:
    """Stop the stack; its data is kept."""
    # Processes may have outlived their supervisor, and an interrupted start may have left networks.
    for kind in running() or (["docker"] if command.networks() else ["native"]):
        _do(kind, "down")


@main.command()
def status() -> None:
    """Show the programs, servers, addresses and waiting work; exit code 0 when all is well."""
    for kind in running() or ["native"]:
        _do(kind, "status")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, metavar="[SERVICE] [--follow]")
def logs(arguments: tuple[str, ...]) -> None:
    """Show the last log lines of all services or of one."""
    for kind in running() or ["native"]:
        _do(kind, "logs", *arguments)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1)
def catalogue(arguments: tuple[str, ...]) -> None:
    """Run a command of `shared.commands` where it reaches the stack's database."""
    if "docker" in running():
        sys.exit(command.catalogue(arguments))
    sys.exit(subprocess.run([sys.executable, "-m", "shared.commands", *arguments], check=False).returncode)  # noqa: S603 # ours


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1)
@click.pass_context
def offers(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Change the keys of offers, or run a command of `shared.commands` on their revocations."""
    if arguments[:1] == ("new-key",):
        click.echo(new_offer_key())
        return
    if arguments[:1] != ("rotate",):
        context.invoke(catalogue, arguments=("offers", *arguments))
        return
    if os.environ.get(OFFER_KEYS):
        raise click.ClickException(
            f"{OFFER_KEYS} is set by you: put {new_offer_key()} before its first key, and a comma."
        )
    where = home.locate(os.environ)
    is_docker = "docker" in running() or not (where / home.STATE_FILE).exists()
    if not (passwords.rotate_offer_keys(command.REPOSITORY) if is_docker else state.rotate_offer_keys(where)):
        raise click.ClickException("No stack was started here: `just up` makes the first key.")
    click.echo("The new key signs after `just down` and `just up`. Former keys go on verifying.")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write the whole database to FILE, for `just restore`; the engine may run."""
    with _alone():
        size = backups.back_up(_database(), file)
    click.echo(f"{file}: {size / 1e6:,.1f} MB")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore(file: Path) -> None:
    """Replace the whole database by that of FILE, from `just backup`; the engine may run.

    A restore that fails or is killed leaves the database as it was.
    """
    with _alone():
        backups.restore(_database(), file, lambda line: click.echo(f"· {line}"))
    click.echo(f"The database is that of {file}.")


@contextmanager
def _alone() -> Iterator[None]:
    folder = home.locate(os.environ)
    home.prepare(folder)
    with home.locked(folder, lambda: click.echo("· waiting for another command on the stack")):
        yield


def _database() -> Database:
    if "docker" in running():
        return compose_database.find()
    return native_database.find(home.locate(os.environ), os.environ)


def _do(kind: str, *arguments: str) -> None:
    code: int | None = COMMANDS[kind].main(list(arguments), prog_name="just", standalone_mode=False)
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main(prog_name="just")
