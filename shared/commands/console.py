"""The console: `just console`."""

import click

from shared.access import keys, sessions
from shared.commands.terminal import failure, print_line, writing
from shared.printable import printable
from shared.settings import Settings


@click.command("console")
@click.pass_obj
def console_command(settings: Settings) -> None:
    """Print a link that signs in to the console, once, within five minutes, with the rights of the admin key."""
    with writing(settings) as conn:
        key_id = keys.current_admin_key(conn)
        if key_id is None:
            raise failure("there is no admin key yet, or it was revoked; is the stack up? `just up`")
        token = sessions.make_link(conn, key_id)
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 # only compared
    print_line("this link signs in once, within five minutes, on this machine:")
    click.echo(printable(f"{settings.scheme}://{host}:{settings.port}/console/sign-in/{token}"))
