"""Commands for operators: `python -m shared.catalogue migrate|demo|import|policy`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
import psycopg
from rich.console import Console
from rich.progress import Progress

from shared import logs
from shared.catalogue import database, demo, importer, keys, markets, policies, tasks
from shared.catalogue.database import Conn
from shared.catalogue.scope import Scope
from shared.errors import translate
from shared.pricing.policy import Policy
from shared.settings import InvalidSettings, Settings, load

console = Console(stderr=True, highlight=False)


@click.group(help=__doc__)
@click.pass_context
def main(context: click.Context) -> None:
    """Read the settings for all commands."""
    try:
        context.obj = load()
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
    logs.configure("pricing-catalogue", context.obj)


@main.command("migrate")
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring the schema up to date; make the admin key, the default policy and the markets where missing."""
    # Alembic takes longer to import than every other command takes to run.
    from shared.catalogue import migrations

    with _database(settings) as conn:
        migrations.migrate(settings)
        policies.ensure_default(conn)
        markets.ensure_shipped(conn)
        keys.ensure_admin_key(conn, settings.home_dir, settings.admin_key)


@main.command("demo")
@click.option("--if-empty", is_flag=True, help="Only where there is no product yet.")
@click.pass_obj
def load_demo(settings: Settings, *, if_empty: bool) -> None:
    """Write the demo catalogue: P-100 to P-999."""
    with _database(settings) as conn:
        if if_empty and conn.execute("SELECT 1 FROM products LIMIT 1").fetchone():
            return
        console.print(f"{demo.load(conn)} demo products")


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def import_file(settings: Settings, file: Path) -> None:
    """Insert or update the products of a CSV file, all of them or none.

    Columns: product_id, name, currency, base_price; and, where wanted, category, cost, stock, min_price,
    max_price, strategy, tiers (JSON). Exit code 2: nothing was imported.
    """
    try:
        products = importer.read(file)
    except importer.RejectedFile as refused:
        console.print(str(refused), *importer.shown(refused.rejects), sep="\n", markup=False, soft_wrap=True)
        sys.exit(2)
    with _database(settings) as conn, Progress(console=console, transient=True) as progress:
        bar = progress.add_task("importing", total=len(products))
        done = importer.write(conn, products, lambda count: progress.advance(bar, count))
    console.print(f"{done.rows} products: {done.created} new, {done.changed} changed, "
                  f"{done.rows - done.created - done.changed} as they were")  # fmt: skip


@main.command("policy")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.pass_obj
def policy(settings: Settings, file: Path | None) -> None:
    """Show the active pricing policy; with a FILE, make that one active and reprice everything by it."""
    with _database(settings) as conn:
        if file is None:
            document = msgspec.json.encode(policies.active(conn).policy)
            click.echo(msgspec.json.format(document).decode())
            return
        try:
            version = policies.publish(conn, msgspec.json.decode(file.read_bytes(), type=Policy))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{file}: {translate(error)}") from None
        task_id = tasks.create(conn, "recalculation", Scope(), "")
    console.print(f"policy {version} is active; task {task_id} recalculates every price")


@contextmanager
def _database(settings: Settings) -> Iterator[Conn]:
    """One connection and one transaction; a database that is away is one clear sentence."""
    try:
        with database.connect(settings, "pricing-catalogue") as conn:
            yield conn
    except psycopg.OperationalError as error:
        raise click.ClickException(f"{translate(error)}; is it running? `just up`, or PRICING_DATABASE_URL") from None


if __name__ == "__main__":
    main()
