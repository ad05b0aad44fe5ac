"""Customers: `just forget-customer`."""

from contextlib import closing

import click

from shared.access import idempotency
from shared.cache import contracts
from shared.catalogue import price_lists
from shared.commands.terminal import connection, note_write, plural, print_line
from shared.errors import RedisUnavailable, translated
from shared.messaging import clients
from shared.settings import Settings


@click.command("forget-customer")
@click.argument("customer_id", metavar="ID")
@click.pass_obj
def forget_customer(settings: Settings, customer_id: str) -> None:
    """Delete a customer's price-list entries, cached contracts and the stored answers to writes that name it.

    The entry in the audit log does not name the customer.
    """
    if not customer_id:
        raise click.UsageError("ID must not be empty")
    click.get_current_context().params.clear()
    with connection(settings) as conn:
        product_ids = price_lists.delete_customer(conn, customer_id)
        answers = idempotency.forget(conn, customer_id)
        note_write(conn)
    cache = clients.sheets_client(settings.redis_for("cache"), "pricing-catalogue")
    try:
        with closing(cache), translated():
            contracts.forget(cache, [(product_id, customer_id) for product_id in product_ids])
    except RedisUnavailable:
        print_line("Redis is away; cached contracts end by themselves within two seconds")
    print_line(f"deleted: the entries of {plural(len(product_ids), 'product')}, {plural(answers, 'stored answer')}")
