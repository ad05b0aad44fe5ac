"""The settings in force: `just settings`."""

from typing import Any

import click
import msgspec

from shared.commands.terminal import add_row, out, table
from shared.printable import printable
from shared.settings import Settings, sources

DEFAULT = "default"


@click.command("settings")
@click.option("--json", "is_json", is_flag=True, help="One JSON array, for scripts.")
@click.pass_obj
def settings_command(settings: Settings, *, is_json: bool) -> None:
    """Print the settings in force with their sources; passwords and keys are hidden."""
    found = _found(settings)
    if is_json:
        click.echo(printable(msgspec.json.format(msgspec.json.encode(found)).decode(), keep="\n"))
        return
    rows = table("variable", "from", "value")
    for one in found:
        add_row(rows, one["name"], one["source"], str(one["value"]))
    out.print(rows, soft_wrap=False)


def _found(settings: Settings) -> list[dict[str, Any]]:
    found = sources()
    return [
        {"name": name, "value": value, "source": found[name].origin if name in found else DEFAULT}
        for name, value in settings.shown().items()
    ]
