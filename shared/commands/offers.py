"""Revocations of offers: `just offers`."""

from datetime import UTC, datetime

import click

from shared.access import audit
from shared.commands.terminal import add_row, connection, out, print_line, table, writing
from shared.offers import revocations
from shared.settings import Settings


@click.group("offers", invoke_without_command=True)
@click.pass_context
def offers_command(context: click.Context) -> None:
    """List revocations of offers; `offers revoke --reason R`, `offers rotate`, `offers new-key`."""
    if context.invoked_subcommand is not None:
        return
    with connection(context.obj) as conn:
        found = revocations.listed(conn)
    rows = table("offers before", "reason", "by", "at")
    for one in found:
        add_row(rows, f"{one.revoked_before:%F %T}", one.reason, one.author, f"{one.at:%F %T}")
    out.print(rows, soft_wrap=False)


@offers_command.command("revoke")
@click.option("--reason", required=True, help="The reason, for people.")
@click.option("--before", type=click.DateTime(), help="Only offers made before it, in UTC; default: now.")
@click.pass_obj
def revoke(settings: Settings, reason: str, before: datetime | None) -> None:
    """Take back offers, in every process within two seconds; it cannot be undone."""
    with writing(settings) as conn:
        at = revocations.revoke(conn, before and before.replace(tzinfo=UTC), reason, audit.commander())
    print_line(f"offers made before {at.astimezone(UTC):%FT%TZ} are revoked")
