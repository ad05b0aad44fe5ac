"""What is exported beside the catalogue: current prices in a context, price histories, entries of price lists."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from shared.catalogue import price_lists
from shared.errors import NoHistory, NotFound, UnusableProduct
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.prices import history as past_sheets
from shared.pricing.answer import NotQuoted
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.entries import PriceEntry
from shared.pricing.money import exact
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.sheet import PriceSheet
from shared.rulebook import revisions
from shared.rulebook.past import PastTerms

PAGE = 1_000

PRICE = (
    *("product_id", "category", "market", "currency", "quantity", "base_price", "reference_price", "final_price"),
    *("total", "discount_rate", "price_list", "promotions", "valid_until", "version", "rulebook_version", "error"),
)
HISTORY = (
    *("product_id", "version", "at", "old_price", "new_price", "currency", "cause", "cause_id", "rulebook_version"),
    "trace_id",
)
ENTRY = ("product_id", "customer_id", "amount", "tier_mode", "tiers", "price_decimals", "from", "until", "zone")


class HistoryFilter(NamedTuple):
    """Which changes: of one product, in [since, until); None: all."""

    product_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Priced(NamedTuple):
    """A product with its sheet, or with the reason why there is none."""

    product_id: str
    category: str | None
    sheet: PriceSheet | str


def prices(
    conn: Conn, context: PriceQuery, category: str | None = None, *, history_days: int
) -> Iterator[Sequence[Any]]:
    """The prices of all products, or of a category, as the API answers them, in the order of the ids.

    Rulebook, market values and sheets are of one snapshot: call it in a transaction that has read nothing yet. A
    product without a price has the reason in the column `error`.

    Args:
        conn: In a transaction.
        context: The query; its product does not matter. At a past instant, products, their categories, the rulebook
            and the market values are those of then.
        category: Only products of this category; None: all.
        history_days: How long the price history goes back.

    Raises:
        NoHistory: there are no prices of that instant, or none for a single customer.
    """
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    now = clock.now(conn)
    at = context.at or now
    if at < now - timedelta(days=history_days):
        raise NoHistory(f"prices are kept for {history_days} days", "$.at")
    terms = PastTerms().as_of(conn, min(at, now))
    if at < now and context.customer_id is not None and terms.rules.lists:
        raise NoHistory("past entries of single customers are not kept: leave --customer or --at out", "$.at")
    for page in _pages(_past(conn, at, category) if at < now else _current(conn, category)):
        ids = [one.product_id for one in page]
        contracts = price_lists.contracts_of(conn, context.customer_id, ids) if context.customer_id else {}
        for one in page:
            query = replace(context, product_id=one.product_id)
            yield _row(one, terms, query, at, contracts.get(one.product_id, ()))


def _row(one: Priced, terms: Terms, query: PriceQuery, at: datetime, contract: tuple[PriceEntry, ...]) -> Sequence[Any]:
    error: object = one.sheet
    if not isinstance(one.sheet, str):
        try:
            with exact():
                found = quote(terms, BoundSheet(terms.rules, one.sheet), query, at, contract=contract)
            return (
                *(one.product_id, one.category, found.market, found.currency, found.quantity, found.base_price),
                *(found.reference_price, found.final_price, found.total, found.discount_rate, found.price_list),
                *("|".join(found.promotions) or None, found.valid_until, found.version, found.rulebook_version, None),
            )
        except NotQuoted as unpriced:
            error = unpriced
    return (one.product_id, one.category, *[None] * (len(PRICE) - 3), str(error))


def _current(conn: Conn, category: str | None) -> Iterator[Priced]:
    for row in _streamed(conn, _SHEETS, {"category": category}):
        yield Priced(row["product_id"], row["category"], _sheet.decode(row["sheet"]))


def _past(conn: Conn, at: datetime, category: str | None) -> Iterator[Priced]:
    """The products that there were at an instant."""
    for row in _streamed(conn, past_sheets.ALL_AS_OF, {"at": at}):
        product_id = row["product_id"]
        try:
            sheet = past_sheets.sheet_in(row, product_id, at)
        except NotFound:
            continue
        except (NoHistory, UnusableProduct) as error:
            if category is None:
                yield Priced(product_id, None, error.reason if isinstance(error, NoHistory) else str(error))
            continue
        if category in (None, sheet.category):
            yield Priced(product_id, sheet.category, sheet)


def _pages(found: Iterator[Priced]) -> Iterator[list[Priced]]:
    while page := list(islice(found, PAGE)):
        yield page


def history(conn: Conn, chosen: HistoryFilter) -> Iterator[Sequence[Any]]:
    """Changes of published prices, by product and time."""
    for row in _streamed(conn, _CHANGES, chosen._asdict()):
        yield tuple(row.values())


def entries(conn: Conn, list_id: str) -> Iterator[Sequence[Any]]:
    """The entries of a price list in force, as `just import-prices` reads them.

    Raises:
        NotFound: the rulebook has no such list.
    """
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    revision, last = revisions.in_force(conn, list_id), None
    while found := price_lists.page(conn, list_id, revision, None, PAGE, last):
        for row, entry in found:
            document = msgspec.to_builtins(entry, builtin_types=(datetime,))
            document["zone"] = entry.zone if entry.from_ is not None or entry.until is not None else None
            yield tuple(document.get(name) for name in ENTRY)
            last = row.product_id, row.customer_id, row.ordinal


def _streamed(conn: Conn, query: str, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with conn.cursor("exported") as cursor:
        cursor.itersize = PAGE
        cursor.execute(query, values)
        yield from cursor


_sheet = msgspec.json.Decoder(PriceSheet)

_SHEETS = """
SELECT r.product_id, p.category, r.sheet FROM prices r JOIN products p USING (product_id)
WHERE %(category)s::text IS NULL OR p.category = %(category)s ORDER BY r.product_id
"""

_CHANGES = """
SELECT product_id, version, recorded_at AS at, old_price, new_price, currency, cause, cause_id,
    policy_version AS rulebook_version, trace_id
FROM price_history
WHERE (%(product_id)s::text IS NULL OR product_id = %(product_id)s)
    AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
ORDER BY product_id, recorded_at, version
"""
