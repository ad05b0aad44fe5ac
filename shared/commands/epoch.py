"""The epoch: `just new-epoch`."""

import click

from shared.commands.terminal import print_line, writing
from shared.postgres import epochs
from shared.settings import Settings


@click.command("new-epoch")
@click.pass_obj
def new_epoch(settings: Settings) -> None:
    """Invalidate every cached price: each one is read from PostgreSQL again within two seconds.

    For rows of the database that were set back by hand, and for foreign entries in Redis. A restore and a failover
    begin a new epoch by themselves.
    """
    with writing(settings) as conn:
        number = epochs.begin(conn)
    print_line(f"epoch {number} begins; cached prices of earlier epochs are invalid")
