"""Market events: `just events`."""

import click

from shared.commands.terminal import add_row, connection, counted, out, print_line, show, table, writing
from shared.market_events import views as event_views
from shared.settings import Settings


@click.group("events", invoke_without_command=True)
@click.option("--rejected", "statuses", flag_value="rejected", multiple=True, help="Only rejected events.")
@click.option("--failed", "statuses", flag_value="failed", multiple=True, help="Only failed events.")
@click.option("--waiting", "statuses", flag_value="received", multiple=True, help="Only waiting events.")
@click.option("--limit", default=20, type=click.IntRange(1), help="The largest number of events to list.")
@click.pass_context
def events_command(context: click.Context, statuses: tuple[str, ...], limit: int) -> None:
    """List market events, newest first; `events show ID`, `events replay ID`."""
    if context.invoked_subcommand is not None:
        return
    with connection(context.obj) as conn:
        found, counts = event_views.listed(conn, statuses, limit), event_views.counts(conn)
    rows = table("event", "source", "type", "status", "target", "received", "reason")
    for event in found:
        received = f"{event.received_at:%F %T}"
        add_row(
            rows, event.id, event.source, event.type, event.status, event.target or "", received, event.reason or ""
        )
    out.print(rows, soft_wrap=False)
    print_line(counted(counts), out)


@events_command.command("show")
@click.argument("event_id")
@click.option("--source", help="The event's sender. Default: the latest event of that id.")
@click.pass_obj
def show_event(settings: Settings, event_id: str, source: str | None) -> None:
    """Show an event, with the traceback of its error."""
    with connection(settings) as conn:
        event = event_views.view(conn, event_id, source)
        traceback = event_views.traceback_of(conn, event_id, source)
    show(event, type(event).__struct_fields__, traceback)


@events_command.command("replay")
@click.argument("event_id")
@click.option("--source", help="The event's sender. Default: the latest event of that id.")
@click.pass_obj
def replay_event(settings: Settings, event_id: str, source: str | None) -> None:
    """Apply an event that was rejected or failed."""
    with writing(settings) as conn:
        event_views.replay(conn, event_id, source)
    print_line(f"event {event_id} waits to be applied")
