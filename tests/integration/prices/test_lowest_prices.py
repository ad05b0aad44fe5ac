"""The lowest price before a reduction comes into the sheet with the decision, and stays while the reduction lasts."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.catalogue import price_lists
from shared.postgres import pools
from shared.postgres.pools import Conn, Pool
from shared.prices import gathering, imported_prices, list_entries, lowest_prices, published
from shared.prices.imported_prices import ImportedPrice
from shared.prices.new_versions import Cause
from shared.pricing.answer import Quote
from shared.pricing.compiled import BoundSheet
from shared.pricing.entries import EntryInput
from shared.pricing.lowest_price import ShownLow
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.rulebook import AppliesTo, MarketRules, PriceList, Promotion, Rulebook
from shared.pricing.sheet import PriceSheet
from shared.rulebook import documents
from shared.rulebook import store as rulebook
from shared.rulebook.store import By
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id, product, task_cause, write

BY = By("tests", "tests")
SUMMER = Promotion(id="summer", percent=Decimal(10))
EVENT = Cause("event", "e-1")


class Shop:
    """A shop with one product whose history begins 60 days ago."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.id = pool, new_id()
        with pool.connection() as conn:
            self.now: datetime = conn.execute("SELECT clock_timestamp() AS now").fetchall()[0]["now"]

    def ago(self, days: float) -> datetime:
        return self.now - timedelta(days=days)

    def rules(self, change: Callable[[Rulebook], Rulebook]) -> None:
        with self.pool.connection() as conn:
            rulebook.change(conn, change, BY)

    def promote(self, *promotions: Promotion) -> None:
        self.rules(lambda held: replace(held, promotions=promotions))

    def priced(self, price: str, **fields: Any) -> None:
        """A person writes the list price."""
        with self.pool.connection() as conn:
            policy = rulebook.active_policy(conn)
        write(self.pool, policy, product(self.id, base_price=Decimal(price), **fields))

    def imported(self, *rows: tuple[float, str, str | None]) -> None:
        """Public prices of the past in the default market: days ago, price, reference price."""
        prices = [
            ImportedPrice(self.id, "DEFAULT", self.ago(days), Decimal(price), None if was is None else Decimal(was))
            for days, price, was in rows
        ]
        with self.pool.connection() as conn:
            _, product_ids = imported_prices.store(conn, [row._replace(market="default") for row in prices])
            lowest_prices.forget(conn, product_ids, Cause("import", "i-1"))

    def decide(self, cause: Cause | None = None) -> int:
        """Decide anew; returns the version of the sheet."""
        with self.pool.connection() as conn:
            published.reprice(conn, [self.id], rulebook.active_policy(conn), cause or task_cause())
        return self.sheet.version

    @property
    def sheet(self) -> PriceSheet:
        with self.pool.connection() as conn:
            [stored] = published.stored_sheets(conn, [self.id])
        return msgspec.json.decode(stored.json, type=PriceSheet)

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.pool.connection() as conn:
            return conn.execute(query.encode(), [self.id]).fetchall()

    def answer(self, **query: Any) -> Quote:
        with self.pool.connection() as conn:
            now = conn.execute("SELECT clock_timestamp() AS now").fetchall()[0]["now"]
            terms = gathering.terms(conn, now)
        asked = PriceQuery(product_id=self.id, **query)
        return quote(terms, BoundSheet(terms.rules, self.sheet), asked, now)

    def low(self, **query: Any) -> ShownLow | None:
        return self.answer(**query).lowest_price

    def amount(self, **query: Any) -> str | None:
        low = self.low(**query)
        return None if low is None else str(low.amount)


@pytest.fixture(scope="module")
def own_pool(migrated_database: Callable[[], Settings]) -> Iterator[Pool]:
    settings = migrated_database()
    with pools.pool(settings, "tests", size=2) as pool:
        with pool.connection() as conn:
            rulebook.ensure_default(conn)
            conn.execute("UPDATE rulebooks SET at = clock_timestamp() - interval '60 days'")
        yield pool


@pytest.fixture
def shop(own_pool: Pool) -> Shop:
    shop = Shop(own_pool)
    shop.rules(lambda _: documents.checked(Rulebook()))
    return shop


def test_the_lowest_price_is_shown_after_the_decision_and_not_before(shop: Shop) -> None:
    shop.imported((40, "90", None), (20, "95", None))
    shop.priced("100")
    shop.promote(SUMMER)
    assert shop.answer().final_price == 90
    assert shop.low() is None
    version = shop.decide()
    low = shop.low()
    assert low is not None
    assert (str(low.amount), str(low.share_off), low.days) == ("90", "0", 30)
    assert not low.insufficient_history
    assert shop.amount(quantity=3, is_prime_member=True) == "90"
    assert str(shop.low(is_prime_member=True)).count("0.05")
    assert shop.amount(customer_groups=("b2b",)) is None
    assert shop.decide() == version, "a sheet changes only where the lowest price does"


def test_it_is_constant_while_the_reduction_lasts_and_goes_with_it(shop: Shop) -> None:
    shop.imported((40, "110", None))
    shop.priced("100")
    shop.promote(SUMMER)
    shop.decide()
    shop.priced("80")
    shop.decide(EVENT)
    assert (shop.amount(), str(shop.answer().final_price)) == ("100.00", "72.00")
    shop.promote(replace(SUMMER, percent=Decimal(20)))
    shop.decide()
    assert shop.amount() == "100.00"
    shop.promote()
    shop.decide()
    assert not shop.sheet.lows
    shop.promote(SUMMER)
    assert shop.amount() is None
    shop.decide()
    assert shop.amount() == "64.00", "the reduction before this one is a price of the last days"


def test_a_short_history_is_flagged_until_more_of_it_is_imported(shop: Shop) -> None:
    shop.promote(SUMMER)
    shop.priced("100")
    low = shop.low()
    assert low is not None
    assert (low.amount, low.share_off, low.insufficient_history) == (None, None, True)
    version = shop.decide()
    shop.imported((5, "97", None))
    assert shop.low() is None
    shop.decide(EVENT)
    low = shop.low()
    assert low is not None
    assert (low.amount, low.insufficient_history) == (Decimal(97), True)
    assert shop.decide() == version + 2, "found again once"
    shop.imported((50, "120", None), (29, "93", None))
    [row] = shop.rows("SELECT next_due <= clock_timestamp() AS is_due FROM prices WHERE product_id = %s")
    assert row["is_due"]
    shop.decide(EVENT)
    low = shop.low()
    assert low is not None
    assert (low.amount, low.insufficient_history) == (Decimal(93), False)


def test_a_sale_list_reduces_only_where_it_is_below_the_published_price(shop: Shop) -> None:
    shop.imported((40, "100", None))
    shop.priced("100")
    shop.rules(lambda held: replace(held, price_lists=(PriceList(id="sale", kind="sale"),)))
    with shop.pool.connection() as conn:
        add_entry(conn, shop.id, "sale", "80")
    shop.decide()
    assert (shop.amount(), shop.answer().price_list) == ("100", "sale")
    shop.priced("70")
    assert not shop.sheet.lows
    shop.priced("100")
    assert shop.amount() == "70.00"


def test_the_window_of_an_entry_has_a_due_time(shop: Shop) -> None:
    shop.imported((40, "100", None))
    shop.priced("100")
    shop.rules(lambda held: replace(held, price_lists=(PriceList(id="sale", kind="sale"),)))
    opens = shop.ago(-1)
    with shop.pool.connection() as conn:
        add_entry(conn, shop.id, "sale", "80", opens=opens)
    shop.decide()
    with shop.pool.connection() as conn:
        [row] = conn.execute("SELECT next_due FROM prices WHERE product_id = %s", [shop.id])
    assert row["next_due"] == opens


@pytest.mark.parametrize(("mode", "later"), [("before_reduction", ["100", "100"]), ("rolling", ["90.00", "85.50"])])
def test_the_mode_of_the_market_says_where_the_window_ends(shop: Shop, mode: Any, later: list[str]) -> None:
    shop.imported((40, "100", None))
    shop.priced("100")
    shop.rules(lambda held: replace(held, markets={"DEFAULT": MarketRules(lowest_price_mode=mode)}))
    shop.promote(SUMMER)
    shop.decide()
    assert shop.amount() == "100"
    found = []
    for price in ("95", "96"):
        shop.priced(price)
        found.append(shop.amount())
    assert found == later


def test_other_days_of_a_market_find_another_price(shop: Shop) -> None:
    shop.imported((50, "70", None), (40, "100", None))
    shop.priced("100")
    shop.promote(SUMMER)
    shop.decide()
    assert shop.amount() == "100"
    shop.rules(lambda held: replace(held, markets={"DEFAULT": MarketRules(lowest_price_days=45)}))
    shop.decide()
    low = shop.low()
    assert low is not None
    assert (low.amount, low.days) == (Decimal(70), 45)


def test_more_than_a_batch_computes_follows_in_a_second(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowest_prices, "MOST_QUOTES", 1)
    other = Shop(shop.pool)
    for one in (shop, other):
        one.imported((40, "100", None))
        one.priced("100")
    shop.promote(replace(SUMMER, applies_to=AppliesTo(products=(shop.id, other.id))))
    with shop.pool.connection() as conn:
        published.reprice(conn, [shop.id, other.id], rulebook.active_policy(conn), task_cause())
        due = conn.execute(
            "SELECT count(*) AS n FROM repricing_queue WHERE target = ANY(%s) AND due_at IS NOT NULL",
            [[shop.id, other.id]],
        ).fetchall()[0]["n"]
    assert sorted([shop.amount(), other.amount()], key=str) == ["100", None]
    assert due == 1
    for one in (shop, other):
        one.decide(EVENT)
    assert [shop.amount(), other.amount()] == ["100", "100"]


def add_entry(conn: Conn, product_id: str, list_id: str, amount: str, **window: Any) -> None:
    """Put an entry into a product's sheet, as loading entries does."""
    revision = next(part.revision for part in rulebook.active(conn).rulebook.price_lists if part.id == list_id)
    written = EntryInput(product_id=product_id, amount=Decimal(amount), from_=_text(window.get("opens")))
    price_lists.add(conn, list_id, revision, [price_lists.row_of(written, list_id, revision, 0)])
    list_entries.put(conn, [product_id], Cause("write", "w-1"))


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
