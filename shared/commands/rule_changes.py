"""Changes of the rulebook by commands: stored under its lock, announced, and followed by a recalculation."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import click

from shared.access import audit
from shared.commands.suggestions import did_you_mean
from shared.commands.terminal import connection, failure, print_line, writing
from shared.errors import PlanFirst
from shared.jobs import tasks
from shared.messaging import clients
from shared.messaging.channel import announce_rulebook
from shared.plans import contents, trial
from shared.plans.changes import Change
from shared.postgres.pools import Conn
from shared.pricing.market import location_key
from shared.pricing.rulebook import Rulebook
from shared.rulebook import parts, reductions, store, values
from shared.rulebook.parts import PartName
from shared.rulebook.store import RulebookVersion
from shared.rulebook.values import By, NewValue
from shared.settings import Settings

CONFIRM = click.option(
    "--confirm", is_flag=True, help="Make it even where it moves too many prices too far; else make a plan: just plan."
)


@contextmanager
def changing(settings: Settings, cause: str) -> Iterator[tuple[Conn, RulebookVersion, By]]:
    """The locked rulebook, in one transaction with the command's entry in the audit log."""
    with writing(settings) as conn:
        yield conn, store.locked(conn), By(audit.commander(), cause)


def check(settings: Settings, changes: Sequence[Change], *, confirm: bool) -> None:
    """Refuse changes that would move too many prices too far, unless a person confirms them.

    Raises:
        ClickException: as said.
    """
    if not confirm and changes:
        try:
            trial.check(lambda: connection(settings), *changes, confirm="--confirm")
        except PlanFirst as error:
            raise failure(str(error)) from None


def recalculate(conn: Conn, held: RulebookVersion, made: RulebookVersion) -> None:
    """Let the prices that the change may move be decided anew."""
    if (products := reductions.changed(held.rulebook, made.rulebook, made.at)) is not None:
        tasks.create(conn, "recalculation", products, "")
        print_line(f"a recalculation of {'every price' if products.is_everything else 'its products'} follows")


def report(settings: Settings, held: RulebookVersion, made: RulebookVersion) -> None:
    """Announce a committed change, and print its version."""
    if made.version == held.version:
        print_line(f"nothing changed; version {made.version} is active")
        return
    announce(settings, version=made.version)
    print_line(f"version {made.version} is active")


def announce(settings: Settings, version: int | None = None, values_version: int | None = None) -> None:
    """Let every process of the API read the rulebook and the market values anew."""
    with closing(clients.client(settings.redis_for("events"), "pricing-catalogue")) as events:
        announce_rulebook(events, version, values_version)


def drop(settings: Settings, name: PartName, *, confirm: bool) -> None:
    """Delete a part, and with a market its multiplier.

    Raises:
        ClickException: there is no such part, another one refers to it, or it moves too many prices unconfirmed.
    """
    with connection(settings) as conn:
        rulebook = store.active(conn).rulebook
        is_part = parts.find(rulebook, name) is not None
        if not is_part and not _has_multiplier(conn, name):
            raise failure(f"the rulebook has no {name}{did_you_mean(name.key, _names(rulebook, name))}")
    if is_part:
        check(settings, contents.changes_of(name, None), confirm=confirm)
    values_version = None
    with changing(settings, f"{name} deleted") as (conn, held, by):
        made, name = held, parts.spelled(held.rulebook, name)
        if parts.find(held.rulebook, name) is not None:
            made = parts.drop(conn, held, name, by)
            recalculate(conn, held, made)
        if name.kind == "price_list":
            print_line("its entries count no more; the listener deletes them")
        if name.kind == "market":
            values_version = values.add(conn, [NewValue("multiplier", name.key, None)], by)
    if values_version is not None:
        announce(settings, values_version=values_version)
        print_line(f"queries from {name.key} get the prices of the market DEFAULT")
    report(settings, held, made)


def _names(rulebook: Rulebook, name: PartName) -> list[str]:
    match name.kind:
        case "market":
            return list(rulebook.markets)
        case "price_list":
            return [part.id for part in rulebook.price_lists]
        case _:
            return [part.id for part in rulebook.promotions]


def _has_multiplier(conn: Conn, name: PartName) -> bool:
    """Whether it is a market that an event has made, which is not in the rulebook."""
    if name.kind != "market":
        return False
    return location_key(name.key) in map(location_key, values.in_force(conn, "multiplier"))
