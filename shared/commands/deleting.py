"""Deleting: `just delete product|market|list|promotion|demo`."""

from collections.abc import Sequence
from contextlib import closing

import click

from shared.cache.writer import SheetWriter
from shared.catalogue.product_set import ProductSet
from shared.commands import demo, rule_changes
from shared.commands.suggestions import check_category, like_product
from shared.commands.terminal import connection, failure, note_write, plural, print_line
from shared.errors import PlanFirst, RedisUnavailable, translated
from shared.jobs import tasks
from shared.messaging import clients
from shared.plans import trial
from shared.postgres.pools import Conn
from shared.prices import published
from shared.pricing.rulebook import Rulebook
from shared.rulebook import store, values
from shared.rulebook.parts import PartName
from shared.settings import Settings

# Products of one transaction, and of one task.
BATCH = 1_000


@click.group("delete")
def delete_command() -> None:
    """Delete products, markets, price lists, promotions, or the demo. Histories and past versions stay."""


@delete_command.command("product")
@click.argument("product_ids", nargs=-1, metavar="[ID]…")
@click.option("--category", "categories", multiple=True, help="All products of this category; may be given again.")
@rule_changes.CONFIRM
@click.pass_obj
def delete_products(
    settings: Settings, product_ids: tuple[str, ...], categories: tuple[str, ...], *, confirm: bool
) -> None:
    """Delete products by their ids or of categories: `just delete product P-100 P-101`.

    Where one id does not exist, nothing is deleted. More products than the breaker lets move need --confirm.
    """
    if bool(product_ids) == bool(categories):
        raise click.UsageError("Name products, or a --category: `just delete product P-100`.")
    with connection(settings) as conn:
        found = _in_categories(conn, categories) if categories else _existing(conn, product_ids)
        if not confirm:
            _check_number(conn, len(found))
    _delete(settings, found)


@delete_command.command("market")
@click.argument("code")
@rule_changes.CONFIRM
@click.pass_obj
def delete_market(settings: Settings, code: str, *, confirm: bool) -> None:
    """Delete a market with its multiplier. Queries from there get the prices of DEFAULT."""
    rule_changes.drop(settings, PartName("market", code), confirm=confirm)


@delete_command.command("list")
@click.argument("list_id", metavar="ID")
@rule_changes.CONFIRM
@click.pass_obj
def delete_list(settings: Settings, list_id: str, *, confirm: bool) -> None:
    """Delete a price list with its entries."""
    rule_changes.drop(settings, PartName("price_list", list_id), confirm=confirm)


@delete_command.command("promotion")
@click.argument("promotion_id", metavar="ID")
@rule_changes.CONFIRM
@click.pass_obj
def delete_promotion(settings: Settings, promotion_id: str, *, confirm: bool) -> None:
    """Delete a promotion."""
    rule_changes.drop(settings, PartName("promotion", promotion_id), confirm=confirm)


@delete_command.command("demo")
@click.pass_obj
def delete_demo(settings: Settings) -> None:
    """Delete the demo's products and markets. DEFAULT stays, with the multiplier 1; products of your own stay, too."""
    with connection(settings) as conn:
        products = demo.own_products(conn)
    if products.ours:
        _delete(settings, products.ours)
    with rule_changes.changing(settings, "the demo deleted") as (conn, held, by):
        markets = demo.remove_markets(conn, held, by)
        made, values_version = store.active(conn), values.newest(conn)
        rule_changes.recalculate(conn, held, made)
    rule_changes.announce(settings, made.version, values_version)
    if not products.ours and not markets.ours:
        print_line("there is nothing of the demo")
    if markets.ours:
        print_line(f"deleted: {plural(len(markets.ours), 'market')} {', '.join(markets.ours)}; DEFAULT is × 1")
    if products.others:
        print_line(f"kept, as they are not the demo's: {_some(products.others)}")
    if markets.others:
        print_line(f"kept, as they were changed or rules refer to them: {_some(markets.others)}")


def _check_number(conn: Conn, products: int) -> None:
    try:
        trial.check_deletion(conn, products, "--confirm")
    except PlanFirst as error:
        raise failure(f"{error}; nothing was deleted") from None


def _existing(conn: Conn, product_ids: Sequence[str]) -> list[str]:
    query = "SELECT product_id FROM products WHERE product_id = ANY(%s) ORDER BY product_id"
    found = [row["product_id"] for row in conn.execute(query, [list(product_ids)])]
    if missing := [product_id for product_id in product_ids if product_id not in set(found)]:
        raise failure(f"no product {missing[0]!r}{like_product(conn, missing[0])}; nothing was deleted")
    return found


def _in_categories(conn: Conn, categories: Sequence[str]) -> list[str]:
    for category in categories:
        check_category(conn, category)
    query = "SELECT product_id FROM products WHERE category = ANY(%s) ORDER BY product_id"
    return [row["product_id"] for row in conn.execute(query, [list(categories)])]


def _delete(settings: Settings, product_ids: Sequence[str]) -> None:
    """Delete products, some at a time, from PostgreSQL and then from every cache; say what is left behind."""
    products = entries = 0
    cache = clients.sheets_client(settings.redis_for("cache"), "pricing-catalogue")
    events = clients.client(settings.redis_for("events"), "pricing-catalogue")
    with closing(cache), closing(events):
        writer = SheetWriter(cache, events, settings.cache_ttl_s)
        for start in range(0, len(product_ids), BATCH):
            batch = product_ids[start : start + BATCH]
            with connection(settings) as conn:
                gone = published.delete_all(conn, batch)
                # A worker puts the deletions again, also where this process ends before it can.
                tasks.create(conn, "cache_sync", ProductSet(product_ids=tuple(batch)), "")
                if not start:
                    note_write(conn)
            products, entries = products + len(gone.sheets), entries + gone.entries
            try:
                with translated():
                    writer.put(gone.sheets)
            except RedisUnavailable:
                print_line("Redis is away; a worker removes the cached prices when it is back")
    with connection(settings) as conn:
        named = _rules_that_name(store.active(conn).rulebook, set(product_ids))
    lists = f", and {plural(entries, 'entry', 'entries')} of price lists" if entries else ""
    print_line(f"deleted: {plural(products, 'product')}{lists}; price histories stay")
    if named:
        print_line(f"rules still name these products: {_some(named)}")


def _rules_that_name(rulebook: Rulebook, product_ids: set[str]) -> list[str]:
    rules = [(f"promotion {one.id}", one.applies_to) for one in rulebook.promotions]
    adjusted = [(one.id, one.adjustment) for one in rulebook.price_lists]
    rules += [(f"price list {list_id}", formula.applies_to) for list_id, formula in adjusted if formula is not None]
    return [name for name, reach in rules if reach is not None and product_ids & set(reach.products or ())]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    return f"{', '.join(names[:10])}{more}"
