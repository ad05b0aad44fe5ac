"""Commands for operators: `python -m shared.commands COMMAND`."""

from importlib import import_module

import click

from shared.processes import prepare_structs
from shared.settings import InvalidSettings, load
from shared.telemetry import logs

# Where each command is. A command's module is imported when it runs: all together take longer than most commands.
COMMANDS = {
    "migrate": "catalogue:migrate",
    "demo": "catalogue:load_demo",
    "import": "catalogue:import_file",
    "export": "exporting:export_file",
    "delete": "deleting:delete_command",
    "import-prices": "price_import:import_prices",
    "policy": "rulebook:policy",
    "rulebook": "rulebook:rulebook_command",
    "import-rates": "rulebook:import_rates",
    "tasks": "jobs:tasks_command",
    "recalculate": "jobs:recalculate",
    "events": "events:events_command",
    "holds": "holds:holds_command",
    "history": "history:history_command",
    "import-history": "history:import_history",
    "webhooks": "webhooks:webhooks_command",
    "offers": "offers:offers_command",
    "keys": "keys:keys_command",
    "forget-customer": "customers:forget_customer",
    "plan": "plans:plan_command",
    "apply": "plans:apply_command",
    "undo": "undo:undo_command",
    "console": "console:console_command",
    "new-epoch": "epoch:new_epoch",
    "settings": "settings:settings_command",
}


class Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"shared.commands.{module}"), name)
        return command


@click.group(cls=Commands, help=__doc__)
@click.pass_context
def main(context: click.Context) -> None:
    """Read the settings for all commands."""
    try:
        context.obj = load()
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
    logs.configure("pricing-catalogue", context.obj)
    prepare_structs()


if __name__ == "__main__":
    main(prog_name="just")
