"""The demo catalogue: 900 products, the same on every machine, made by arithmetic."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from shared.catalogue import products
from shared.errors import StillInUse
from shared.market_events import signals
from shared.market_events.events import CompetitorPriceChanged, DemandChanged
from shared.market_events.signals import SignalUpdate
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.prices import new_versions, published
from shared.pricing.market import DEFAULT_MARKET_CODE, location_key
from shared.pricing.money import round_to
from shared.pricing.product import ProductInput, Tier
from shared.pricing.rulebook import MarketRules, Rulebook
from shared.rulebook import parts, values
from shared.rulebook import store as rulebook
from shared.rulebook.parts import PartName
from shared.rulebook.store import RulebookVersion
from shared.rulebook.values import By, NewValue

CATEGORIES = ("electronics", "grocery", "fashion", "home", "books")
CURRENCIES = ("USD", "USD", "JPY", "USD", "KWD")
# Rough exchange rates of one US dollar: a product of 50 USD costs 7,500 JPY.
SCALE = {"USD": Decimal(1), "JPY": Decimal(150), "KWD": Decimal("0.3")}
NOUNS = ("Kettle", "Lamp", "Jacket", "Notebook", "Speaker", "Coffee", "Scarf", "Chair", "Atlas")
# The demo's markets with their multipliers; DEFAULT is for unknown locations.
MARKETS = {
    DEFAULT_MARKET_CODE: Decimal("0.95"),
    "NY": Decimal("1.10"),
    "LA": Decimal("1.05"),
    "MIA": Decimal("0.98"),
    "SF": Decimal("1.12"),
    "CHI": Decimal("1.00"),
    "LON": Decimal("1.08"),
    "TYO": Decimal("1.04"),
    "KWI": Decimal("1.02"),
}


class Own(NamedTuple):
    """The names that are the demo's, and those that only look so."""

    ours: list[str]
    others: list[str]


def demo_products() -> Iterator[ProductInput]:
    """`P-100` … `P-999`: five categories, three currencies, every second one with volume tiers."""
    for number in range(100, 1000):
        currency = CURRENCIES[number % 5]
        price = round_to(_dollars(number) * SCALE[currency], currency)
        yield ProductInput(
            product_id=f"P-{number}",
            name=f"{NOUNS[number % 9]} {number}",
            category=CATEGORIES[number // 5 % 5],
            currency=currency,
            base_price=price,
            cost=_share(price, "0.6", currency),
            stock=number * 7 % 250,
            tiers=_tiers(price, currency) if number % 2 == 0 else (),
        )


def demo_signals(product: ProductInput) -> Iterator[CompetitorPriceChanged | DemandChanged]:
    """Two competitors a little below and above the list price, and a demand index, for most products."""
    number = int(product.product_id.removeprefix("P-"))
    if number % 7:
        for competitor, percent in (("acme", 92 + number % 11), ("globex", 97 + number % 13)):
            yield CompetitorPriceChanged(
                product_id=product.product_id,
                competitor=competitor,
                price=_share(product.base_price, f"{percent / 100:.2f}", product.currency),
                currency=product.currency,
                in_stock=number % 10 != 3,
            )
    if number % 3 == 0:
        yield DemandChanged(product_id=product.product_id, index=Decimal(90 + number % 30) / 100)


def ensure_markets(conn: Conn) -> None:
    """Add the demo's markets that are missing; those that exist keep their rules and multipliers."""
    by = By("", "demo")
    rulebook.change(conn, _with_markets, by)
    values.add_missing(conn, MARKETS, by)


def load(conn: Conn) -> int:
    """Write the demo catalogue with its markets, signals and first prices; returns the number of products."""
    ensure_markets(conn)
    now = clock.now(conn)
    catalogue = list(demo_products())
    written = products.upsert(conn, catalogue)
    found = [signal for product in catalogue for signal in demo_signals(product)]
    signals.apply(conn, [SignalUpdate.of(signal, "demo", now, "demo") for signal in found])
    published.reprice(conn, written, rulebook.active_policy(conn), new_versions.Cause("demo", "demo"))
    return len(catalogue)


def is_wanted(conn: Conn) -> bool:
    """Whether the database is new: nobody has written products, market values or a rulebook, or wanted no demo."""
    [row] = conn.execute(_IS_NEW).fetchall()
    return bool(row["is_new"])


def leave_out(conn: Conn) -> None:
    """Start without the demo, now and later: the multiplier of `DEFAULT` is written, as 1."""
    values.add(conn, [NewValue("multiplier", DEFAULT_MARKET_CODE, Decimal(1))], By("", "start without the demo"))


def own_products(conn: Conn) -> Own:
    """The products with ids of the demo: those that are the demo's, by their names, and those that are not."""
    names = {product.product_id: product.name for product in demo_products()}
    query = "SELECT product_id, name FROM products WHERE product_id = ANY(%s) ORDER BY product_id"
    rows = conn.execute(query, [list(names)]).fetchall()
    ours = [row["product_id"] for row in rows if row["name"] == names[row["product_id"]]]
    return Own(ours, [row["product_id"] for row in rows if row["name"] != names[row["product_id"]]])


def remove_markets(conn: Conn, held: RulebookVersion, by: By) -> Own:
    """Delete from the locked rulebook the demo's markets that are as the demo wrote them; `DEFAULT` becomes × 1.

    Returns the codes of the deleted markets, and of those that stay: they were changed, or are still referred to.
    """
    deleted, kept = list[str](), list[str]()
    book, multipliers = held.rulebook, values.in_force(conn, "multiplier")
    for code in [code for code in MARKETS if multipliers.get(code) == MARKETS[code] and code in book.markets]:
        if code == DEFAULT_MARKET_CODE:
            values.add(conn, [NewValue("multiplier", code, Decimal(1))], by)
            continue
        try:
            if book.markets[code] != MarketRules():
                raise StillInUse
            book = parts.without_part(book, PartName("market", code))
            deleted.append(code)
        except StillInUse:
            kept.append(code)
    rulebook.revise(conn, held, book, by)
    values.add(conn, [NewValue("multiplier", code, None) for code in deleted], by)
    return Own(deleted, kept)


def _with_markets(held: Rulebook) -> Rulebook:
    known = {location_key(code) for code in held.markets}
    missing = {code: MarketRules() for code in MARKETS if location_key(code) not in known}
    return replace(held, markets=held.markets | missing)


def _dollars(number: int) -> Decimal:
    return Decimal(500 + number * 37 % 9500) / 100


def _share(price: Decimal, share: str, currency: str) -> Decimal:
    return round_to(price * Decimal(share), currency)


def _tiers(price: Decimal, currency: str) -> tuple[Tier, ...]:
    return (
        Tier(up_to=9, unit_price=price),
        Tier(up_to=49, unit_price=_share(price, "0.95", currency)),
        Tier(up_to=None, unit_price=_share(price, "0.90", currency)),
    )


_IS_NEW = """
SELECT NOT EXISTS (SELECT FROM products) AND NOT EXISTS (SELECT FROM deleted_prices)
    AND NOT EXISTS (SELECT FROM market_values) AND NOT EXISTS (SELECT FROM rulebooks WHERE version > 1) AS is_new
"""
