"""Commands for operators: `python -m shared.commands COMMAND`.

COMMAND is migrate, demo, import, export, delete, import-prices, policy, rulebook, import-rates, tasks, events, holds,
history, import-history, webhooks, offers, keys, forget-customer, recalculate, plan, apply, undo, console,
new-epoch or settings.
"""

import click

from shared.commands import (
    catalogue,
    console,
    customers,
    deleting,
    epoch,
    events,
    exporting,
    history,
    holds,
    jobs,
    keys,
    offers,
    plans,
    price_import,
    rulebook,
    settings,
    undo,
    webhooks,
)
from shared.settings import InvalidSettings, load
from shared.telemetry import logs


@click.group(help=__doc__)
@click.pass_context
def main(context: click.Context) -> None:
    """Read the settings for all commands."""
    try:
        context.obj = load()
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
    logs.configure("pricing-catalogue", context.obj)


for command in (
    catalogue.migrate,
    catalogue.load_demo,
    catalogue.import_file,
    exporting.export_file,
    price_import.import_prices,
    rulebook.policy,
    rulebook.rulebook_command,
    rulebook.import_rates,
    jobs.tasks_command,
    jobs.recalculate,
    events.events_command,
    holds.holds_command,
    history.history_command,
    history.import_history,
    keys.keys_command,
    console.console_command,
    customers.forget_customer,
    deleting.delete_command,
    epoch.new_epoch,
    webhooks.webhooks_command,
    offers.offers_command,
    plans.plan_command,
    plans.apply_command,
    undo.undo_command,
    settings.settings_command,
):
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="just")
