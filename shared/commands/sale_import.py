"""The sale prices of a shop's export, as entries of the price list `sale`."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from shared.access import audit
from shared.commands import price_import
from shared.commands.import_progress import report_rejects
from shared.commands.terminal import console, print_line
from shared.errors import NotFound, PlanFirst
from shared.importing import entry_importer
from shared.importing.columns import Columns
from shared.importing.importer import ALL, NOTHING
from shared.importing.shops import SALE_LIST, Shop
from shared.plans.trial import Transaction
from shared.postgres.pools import Conn
from shared.pricing.rulebook import PriceList, Rulebook
from shared.rulebook import revisions, store
from shared.rulebook.store import By
from shared.settings import Settings

_REJECTS = Path("sale.rejects.csv")


def put(conn: Conn, settings: Settings, shop: Shop, columns: Columns, tried_by: Transaction | None = None) -> int:
    """Replace the entries of the list by the shop's sale prices, once its products are committed.

    Returns the exit code. With `tried_by` they are tried first, as `entry_importer.run` has it. Without the list it is
    made; a shop without sale prices ends all former ones.
    """
    if not _ensure_list(conn, needed=shop.sale_prices > 0):
        return ALL
    if not shop.sale_prices:
        revisions.switch(conn, SALE_LIST, revisions.begin(conn, SALE_LIST), By(audit.commander(), "no sale prices"))
        conn.commit()
        return ALL
    form = replace(entry_importer.columns(), decimal=columns.decimal)
    options: dict[str, Any] = {"skip_bad": True, "dry_run": False, "tried_by": tried_by}
    try:
        done = price_import.load(conn, settings, shop.sales(), SALE_LIST, _REJECTS, form, **options)
    except PlanFirst as error:
        print_line(f"price list {SALE_LIST}: {error}; its prices stay")
        return NOTHING
    report_rejects(console, done, _REJECTS)
    print_line(f"price list {SALE_LIST}: {price_import.summary(done)}")
    return NOTHING if done.is_refused else done.exit_code


def _ensure_list(conn: Conn, *, needed: bool) -> bool:
    """Whether the rulebook has the list; it is added where it is needed."""
    try:
        revisions.in_force(conn, SALE_LIST)
    except NotFound:
        if not needed:
            return False
        made = PriceList(id=SALE_LIST, kind="sale", name="Sale prices of the shop")

        def add(book: Rulebook) -> Rulebook:
            return replace(book, price_lists=(*book.price_lists, made))

        store.change(conn, add, By(audit.commander(), f"price list {SALE_LIST}"))
    conn.commit()
    return True
