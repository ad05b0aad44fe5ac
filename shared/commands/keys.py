"""API keys: `just keys`."""

import re
from datetime import UTC, datetime, timedelta

import click

from shared.access import keys
from shared.access.scopes import SCOPES, Scope
from shared.commands.terminal import add_row, connection, out, print_line, table, writing
from shared.printable import printable
from shared.settings import Settings

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_MOST_DAYS = 36_500


def _lifetime(_context: click.Context, _parameter: click.Parameter, text: str | None) -> timedelta | None:
    """The time span of an option: 90d, 12h or 30m."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,7})([mhd])", text, re.ASCII)
    span = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta.max
    if span > timedelta(days=_MOST_DAYS):
        raise click.BadParameter("must be minutes, hours or days, at most 100 years: 30m, 12h, 90d")
    return span


@click.group("keys")
def keys_command() -> None:
    """Make, list and revoke API keys: `keys create`, `keys list`, `keys revoke ID`."""


@keys_command.command("create")
@click.option("--name", required=True, help="The key's name, for people.")
@click.option(
    "--scope", "scopes", required=True, multiple=True, type=click.Choice(SCOPES), help="May be given several times."
)
@click.option(
    "--expires", callback=_lifetime, metavar="TIME", help="Its lifetime: 90d, 12h or 30m. Default: unlimited."
)
@click.option(
    "--prices-per-s",
    type=click.IntRange(1, keys.MOST_PRICES_PER_S),
    help="The most price queries a second in each API instance. Default: unlimited.",
)
@click.pass_obj
def create_key(
    settings: Settings, name: str, scopes: tuple[Scope, ...], expires: timedelta | None, prices_per_s: int | None
) -> None:
    """Make a key, and print it alone on standard output. Nobody can read it again."""
    with writing(settings) as conn:
        expires_at = datetime.now(UTC) + expires if expires else None
        key_id, key = keys.create(conn, name, scopes, "just", expires_at, prices_per_s)
    print_line(f"key {key_id}: {', '.join(scopes)}{f', until {expires_at:%F %T} UTC' if expires_at else ''}")
    click.echo(printable(key))


@keys_command.command("list")
@click.option("--limit", default=100, type=click.IntRange(1), help="The largest number of keys to list.")
@click.pass_obj
def list_keys(settings: Settings, limit: int) -> None:
    """List keys with their scopes and last use, newest first; never the keys themselves."""
    with connection(settings) as conn:
        found = keys.listed(conn, limit)
    rows = table("id", "name", "state", "expires", "last used", "created", "by", "scopes", "prices/s")
    for key in found:
        times = (f"{at:%F %T}" if at else "" for at in (key.expires_at, key.last_used_at, key.created_at))
        most = str(key.prices_per_s or "")
        add_row(rows, str(key.id), key.name, key.state, *times, key.created_by, ", ".join(key.scopes), most)
    out.print(rows, soft_wrap=False)


@keys_command.command("revoke")
@click.argument("key_id", metavar="ID", type=click.IntRange(1, keys.LARGEST_ID))
@click.pass_obj
def revoke_key(settings: Settings, key_id: int) -> None:
    """End a key; every process refuses it within 2 seconds."""
    with writing(settings) as conn:
        keys.revoke(conn, key_id)
    print_line(f"key {key_id} is revoked")
