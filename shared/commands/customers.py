"""Customers: `just forget-customer`."""

from contextlib import closing

import click

from shared.access import idempotency
from shared.cache import contracts
from shared.catalogue import former_entries, price_lists
from shared.commands.terminal import connection, note_write, plural, print_line
from shared.errors import RedisUnavailable, translated
from shared.messaging import clients
from shared.plans import forgetting
from shared.prices import replaced_facts
from shared.pricing.rulebook import PriceList, Promotion, Rulebook
from shared.rulebook import store
from shared.settings import Settings


@click.command("forget-customer")
@click.argument("customer_id", metavar="ID")
@click.pass_obj
def forget_customer(settings: Settings, customer_id: str) -> None:
    """Delete a customer's entries in price lists, plans and what an undo would bring back, and its cached contracts.

    The stored answers to writes that name the customer go, too. The entry in the audit log does not name it.
    """
    if not customer_id:
        raise click.UsageError("ID must not be empty")
    click.get_current_context().params.clear()
    with connection(settings) as conn:
        plans = forgetting.forget(conn, customer_id)
        replaced_facts.forget(conn, customer_id)
        former_entries.forget(conn, customer_id)
        product_ids = price_lists.delete_customer(conn, customer_id)
        answers = idempotency.forget(conn, customer_id)
        rules = _rules_that_name(store.active(conn).rulebook, customer_id)
        note_write(conn)
    cache = clients.sheets_client(settings.redis_for("cache"), "pricing-catalogue")
    try:
        with closing(cache), translated():
            contracts.forget(cache, [(product_id, customer_id) for product_id in product_ids])
    except RedisUnavailable:
        print_line("Redis is away; cached contracts end by themselves within two seconds")
    print_line(
        f"deleted: the entries of {plural(len(product_ids), 'product')}, {plural(answers, 'stored answer')}, "
        f"the entries in {plural(plans, 'plan')}"
    )
    if rules:
        print_line(f"conditions still name this customer, also in former versions of the rulebook: {', '.join(rules)}")


def _rules_that_name(rulebook: Rulebook, customer_id: str) -> list[str]:
    parts: list[PriceList | Promotion] = [*rulebook.price_lists, *rulebook.promotions]
    return [
        f"{'price list' if isinstance(part, PriceList) else 'promotion'} {part.id}"
        for part in parts
        if any(
            one.attribute == "customer_id" and customer_id in (one.eq, *(one.in_ or ()), *(one.not_in or ()))
            for one in part.conditions
        )
    ]
