"""The rulebook: `just policy`."""

from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from shared.access import audit
from shared.catalogue.product_set import ProductSet
from shared.commands.terminal import connection, failure, note_write, print_line
from shared.errors import translate
from shared.jobs import tasks
from shared.pricing.rulebook import RulebookPolicy
from shared.printable import printable
from shared.rulebook import store as rulebook
from shared.rulebook.values import By
from shared.settings import Settings


@click.command("policy")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.pass_obj
def policy(settings: Settings, file: Path | None) -> None:
    """Show the active pricing policy; with a FILE, make that one active and reprice everything by it."""
    with connection(settings) as conn:
        if file is None:
            document = msgspec.json.encode(rulebook.active_policy(conn).policy)
            click.echo(printable(msgspec.json.format(document).decode(), keep="\n"))
            return
        try:
            written = msgspec.json.decode(file.read_bytes(), type=RulebookPolicy)
            by = By(audit.commander(), "policy")
            version = rulebook.change(conn, lambda held: replace(held, policy=written), by).version
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise failure(f"{file}: {translate(error)}") from None
        task_id = tasks.create(conn, "recalculation", ProductSet(), "")
        note_write(conn)
    print_line(f"policy {version} is active; task {task_id} recalculates every price")
