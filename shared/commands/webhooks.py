"""Webhooks: `just webhooks`."""

from datetime import UTC, datetime
from uuid import uuid4

import click
import msgspec

from shared import addresses
from shared.changes import log, webhooks
from shared.changes.sending import CallFailed, Message, WebhookSender
from shared.commands.terminal import add_row, connection, failure, out, print_line, table, writing
from shared.errors import NotFound
from shared.postgres import clock
from shared.settings import Settings

ID = click.argument("webhook_id", metavar="ID")


@click.group("webhooks", invoke_without_command=True)
@click.option("--limit", default=100, type=click.IntRange(1, 1000), help="The largest number of webhooks to list.")
@click.pass_context
def webhooks_command(context: click.Context, limit: int) -> None:
    """List webhooks; `webhooks test ID`, `replay ID CHANGE`, `resume ID`, `rotate ID`, `delete ID`."""
    if context.invoked_subcommand is not None:
        return
    with connection(context.obj) as conn:
        found = webhooks.page(conn, limit)
    rows = table("webhook", "url", "types", "status", "position", "behind", "failing since", "last error")
    for one in found:
        since = f"{one.failing_since:%F %T}" if one.failing_since else ""
        numbers = str(one.position), str(one.behind)
        add_row(rows, one.webhook_id, one.url, " ".join(one.types), one.status, *numbers, since, one.last_error or "")
    out.print(rows, soft_wrap=False)


@webhooks_command.command("test")
@ID
@click.pass_obj
def test_call(settings: Settings, webhook_id: str) -> None:
    """Send a signed test call."""
    now = datetime.now(UTC)
    with connection(settings) as conn:
        url = webhooks.view(conn, webhook_id).url
        secrets = webhooks.secrets_of(conn, webhook_id, clock.now(conn))
    body = {"type": "test", "timestamp": now, "data": {"webhook_id": webhook_id}}
    message = Message(f"{webhook_id}-test-{uuid4()}", msgspec.json.encode(body).decode())
    try:
        took_s = WebhookSender(addresses.networks(settings.webhook_networks)).send(url, message, secrets, now)
    except CallFailed as error:
        raise failure(str(error)) from None
    print_line(f"accepted in {took_s * 1000:.0f} ms")


@webhooks_command.command("replay")
@ID
@click.argument("change_id", type=click.IntRange(0, 2**53 - 1), metavar="CHANGE")
@click.pass_obj
def replay(settings: Settings, webhook_id: str, change_id: int) -> None:
    """Send everything behind a change again."""
    with writing(settings) as conn:
        log.check(conn, change_id)
        webhooks.resume(conn, webhook_id, change_id)
        behind = webhooks.view(conn, webhook_id).behind
    print_line(f"{behind} changes are sent again")


@webhooks_command.command("resume")
@ID
@click.pass_obj
def resume(settings: Settings, webhook_id: str) -> None:
    """Go on where the webhook was, also where it was suspended."""
    with writing(settings) as conn:
        webhooks.resume(conn, webhook_id)
        behind = webhooks.view(conn, webhook_id).behind
    print_line(f"{behind} changes wait")


@webhooks_command.command("rotate")
@ID
@click.pass_obj
def rotate(settings: Settings, webhook_id: str) -> None:
    """Print a new secret; the former one also signs for 24 hours."""
    with writing(settings) as conn:
        secret = webhooks.rotate(conn, webhook_id, clock.now(conn))
    print_line(secret, out)


@webhooks_command.command("delete")
@ID
@click.pass_obj
def delete(settings: Settings, webhook_id: str) -> None:
    """Delete a webhook."""
    with writing(settings) as conn:
        if not webhooks.delete(conn, webhook_id):
            raise NotFound(f"no webhook {webhook_id!r}")
    print_line("deleted")
