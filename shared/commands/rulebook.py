"""The rulebook: `just rulebook`, `just policy`, `just import-rates`."""

from pathlib import Path
from typing import Any

import click
import msgspec

from shared.access import audit
from shared.catalogue.product_set import ProductSet
from shared.commands import document_files, rule_changes
from shared.commands.document_files import FILE
from shared.commands.rule_changes import CONFIRM
from shared.commands.terminal import add_row, connection, failure, out, plural, print_line, table, writing
from shared.errors import InvalidInput
from shared.jobs import tasks
from shared.plans import contents
from shared.prices import inputs
from shared.pricing.rulebook import Rulebook, RulebookPolicy
from shared.printable import printable
from shared.rulebook import diff, documents, exchange_rates, parts, rate_files, store
from shared.rulebook.parts import KINDS, Kind, PartName
from shared.rulebook.values import By
from shared.settings import Settings

# Rates of the past that one transaction stores.
RATES = 10_000
KIND = click.Choice([name.replace("_", "-") for name in KINDS])


@click.group("rulebook", invoke_without_command=True)
@click.pass_context
def rulebook_command(context: click.Context) -> None:
    """Show or change the rulebook: policy, markets, price lists, promotions. Without a command, show it."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@rulebook_command.command("show")
@click.option("--version", type=click.IntRange(1), help="An earlier version. Default: the active one.")
@click.pass_obj
def show(settings: Settings, version: int | None = None) -> None:
    """Print the rulebook as `just rulebook put` reads it."""
    with connection(settings) as conn:
        found = store.active(conn) if version is None else store.by_version(conn, version)
    _print_json(documents.encoded(found.rulebook))
    print_line(f"version {found.version}: {found.cause}, by {found.author or 'the engine'}, {found.at:%F %T} UTC")


@rulebook_command.command("versions")
@click.option("--limit", default=20, type=click.IntRange(1), help="The largest number of versions to list.")
@click.pass_obj
def list_versions(settings: Settings, limit: int) -> None:
    """List versions, newest first."""
    with connection(settings) as conn:
        found = store.listed(conn, limit)
    rows = table("version", "since", "author", "cause")
    for each in found:
        add_row(rows, str(each.version), f"{each.at:%F %T}", each.author, each.cause)
    out.print(rows, soft_wrap=False)


@rulebook_command.command("diff")
@click.argument("one", metavar="FROM", type=click.IntRange(1))
@click.argument("other", metavar="[TO]", type=click.IntRange(1), required=False)
@click.pass_obj
def show_diff(settings: Settings, one: int, other: int | None) -> None:
    """Print the fields that differ between two versions; without TO, between FROM and the active one."""
    with connection(settings) as conn:
        before = store.by_version(conn, one)
        after = store.active(conn) if other is None else store.by_version(conn, other)
    for each in diff.differences(before.rulebook, after.rulebook):
        print_line(f"{each.path}: {_shown(each.before)} → {_shown(each.after)}", out)


@rulebook_command.command("put")
@click.argument("file", type=FILE)
@CONFIRM
@click.pass_obj
def put_rulebook(settings: Settings, file: Path, *, confirm: bool) -> None:
    """Replace the rulebook by a FILE, or by standard input: `-`. Prices are decided anew where the policy changes."""
    document = document_files.read(file, Rulebook)
    with connection(settings) as conn:
        changes = contents.changes_between(store.active(conn).rulebook, document)
    rule_changes.check(settings, changes, confirm=confirm)
    with rule_changes.changing(settings, "rulebook") as (conn, held, by):
        made = parts.put_all(conn, held, document, by)
        rule_changes.recalculate(conn, held, made)
    rule_changes.report(settings, held, made)


@rulebook_command.command("put-part")
@click.argument("kind", type=KIND)
@click.argument("file", type=FILE)
@click.option("--code", help="The code of a market.")
@CONFIRM
@click.pass_obj
def put_part(settings: Settings, kind: str, file: Path, code: str | None, *, confirm: bool) -> None:
    """Insert or replace a part by a FILE, or by standard input: `-`. Lists and promotions have their id in it."""
    of = _kind(kind)
    if (of == "market") != (code is not None):
        raise click.UsageError("--code is needed for a market, and only for one.")
    part = document_files.read(file, KINDS[of])
    name = PartName(of, code or str(getattr(part, "id", "")))
    rule_changes.check(settings, contents.changes_of(name, part), confirm=confirm)
    with rule_changes.changing(settings, str(name)) as (conn, held, by):
        made = parts.put(conn, held, name, part, by)
        rule_changes.recalculate(conn, held, made)
    rule_changes.report(settings, held, made)


@rulebook_command.command("delete-part")
@click.argument("kind", type=KIND)
@click.argument("name", metavar="ID")
@CONFIRM
@click.pass_obj
def delete_part(settings: Settings, kind: str, name: str, *, confirm: bool) -> None:
    """Delete a market, price list or promotion, as `just delete` does."""
    rule_changes.drop(settings, PartName(_kind(kind), name), confirm=confirm)


@click.command("policy")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@CONFIRM
@click.pass_obj
def policy(settings: Settings, file: Path | None, *, confirm: bool) -> None:
    """Show the active pricing policy; with a FILE, make that one active and reprice everything by it."""
    if file is None:
        with connection(settings) as conn:
            _print_json(msgspec.json.encode(store.active_policy(conn).policy))
        return
    written = document_files.read(file, RulebookPolicy)
    rule_changes.check(settings, contents.changes_of(PartName("policy"), written), confirm=confirm)
    with rule_changes.changing(settings, "policy") as (conn, held, by):
        made = parts.put(conn, held, PartName("policy"), written, by)
        task_id = tasks.create(conn, "recalculation", ProductSet(), "")
    rule_changes.announce(settings, version=made.version)
    print_line(f"policy {made.version} is active; task {task_id} recalculates every price")


@click.command("import-rates")
@click.argument("file", type=FILE)
@CONFIRM
@click.pass_obj
def import_rates(settings: Settings, file: Path, *, confirm: bool) -> None:
    """Put the exchange rates of a FILE in force, or of standard input: `-`.

    CSV with the columns from,to,rate; or a file of the European Central Bank: eurofxref.csv or eurofxref-hist.csv. Of
    its history, the newest day is in force from now on, and the others since the afternoon of their day.
    """
    try:
        rates = rate_files.read(document_files.content(file).decode())
        exchange_rates.check(rates)
    except (InvalidInput, UnicodeDecodeError) as error:
        raise failure(f"{file}: {error}") from None
    past = [rate for rate in rates if rate.since is not None]
    current = [rate for rate in rates if rate.since is None]
    changes = [contents.value_change("exchange_rate", f"{one.source}/{one.target}", one.rate) for one in current]
    rule_changes.check(settings, changes, confirm=confirm)
    by = By(audit.commander(), "exchange rates")
    # Some at a time: market events wait for the lock meanwhile. After a crash the import is repeated.
    for start in range(0, len(past), RATES):
        with connection(settings) as conn:
            exchange_rates.put(conn, past[start : start + RATES], by)
    with writing(settings) as conn:
        version = exchange_rates.put(conn, current, by)
        if inputs.are_converted(conn):
            tasks.create(conn, "recalculation", ProductSet(), "")
    rule_changes.announce(settings, values_version=version)
    print_line(f"in force: {plural(len(current), 'rate')}, and {len(past):,} of the past; version {version}")


def _kind(kind: str) -> Kind:
    return next(each for each in KINDS if each.replace("_", "-") == kind)


def _print_json(content: bytes) -> None:
    click.echo(printable(msgspec.json.format(content).decode(), keep="\n"))


def _shown(value: Any) -> str:
    return "none" if value is msgspec.UNSET else documents.NUMBERS.encode(value).decode()
