"""`just delete`, and a start without the demo: what is deleted is gone everywhere, and what is left behind is said."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from shared.cache import sheets
from shared.commands import demo
from shared.commands.catalogue import load_demo
from shared.commands.deleting import delete_command
from shared.messaging import clients
from shared.postgres import pools
from shared.postgres.pools import Conn
from shared.prices import published
from shared.prices.history import price_changes
from shared.prices.new_versions import Cause
from shared.pricing.product import ProductInput
from shared.pricing.rulebook import AppliesTo, MarketRules, PriceList, Promotion, Rulebook
from shared.rulebook import store, values
from shared.rulebook.values import By
from shared.settings import Settings

Just = Callable[..., Result]
BY = By("", "test")


@pytest.fixture(scope="module")
def loaded(migrated_database: Callable[[], Settings]) -> Settings:
    """A database of its own with the demo, two own products, and rules."""
    settings = migrated_database()
    with pools.connect(settings, "tests") as conn:
        store.ensure_default(conn)
        demo.load(conn)
        own = [product("OWN-1"), product("OWN-2"), product("P-101")]
        published.write_products(conn, own, store.active_policy(conn), Cause("test", "test"))
        store.change(conn, with_rules, BY)
    return settings


def product(product_id: str) -> ProductInput:
    return ProductInput(
        product_id=product_id, name="Of my own", category="mine", currency="EUR", base_price=Decimal("10.00")
    )


def with_rules(book: Rulebook) -> Rulebook:
    spring = Promotion(id="spring", percent=Decimal(10), applies_to=AppliesTo(products=("OWN-1",)))
    return Rulebook(
        policy=book.policy,
        markets=book.markets | {"LON": MarketRules(currency="GBP"), "DE": MarketRules()},
        price_lists=(PriceList(id="sale", kind="sale"),),
        promotions=(spring,),
    )


@pytest.fixture
def just(loaded: Settings) -> Just:
    return lambda *arguments: CliRunner().invoke(delete_command, arguments, obj=loaded)


def markets(conn: Conn) -> dict[str, Decimal]:
    return values.in_force(conn, "multiplier")


def test_one_command_removes_the_demo_and_its_markets_and_nothing_else(just: Just, loaded: Settings) -> None:
    done = just("demo")
    assert (done.exit_code, "deleted: 899 products" in done.stderr) == (0, True), done.output
    assert "kept, as they are not the demo's: P-101" in done.stderr
    assert "kept, as they were changed or rules refer to them: LON" in done.stderr
    with pools.connect(loaded, "tests") as conn:
        rows = conn.execute("SELECT product_id FROM products ORDER BY product_id")
        assert [row["product_id"] for row in rows] == ["OWN-1", "OWN-2", "P-101"]
        assert markets(conn) == {"DEFAULT": 1, "LON": demo.MARKETS["LON"]}
        assert set(store.active(conn).rulebook.markets) == {"DEFAULT", "LON", "DE"}
        assert [change.new_price for change in price_changes(conn, "P-100", 1)] == [None]
        assert not demo.is_wanted(conn)
    assert "there is nothing of the demo" in just("demo").stderr


def test_a_product_is_gone_from_redis_and_rules_that_name_it_are_said(just: Just, loaded: Settings) -> None:
    with clients.client(loaded.redis_for("cache"), "tests") as cache, pools.connect(loaded, "tests") as conn:
        [stored] = published.stored_sheets(conn, ["OWN-1"])
        cache.set(sheets.key("OWN-1"), sheets.entry(stored), ex=1000)
        done = just("product", "OWN-1")
        assert "rules still name these products: promotion spring" in done.stderr, done.output
        assert cache.get(sheets.key("OWN-1")) == f"{stored.version + 1}|?".encode()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("product", "OWN-2", "OWN-22"), "no product 'OWN-22'; did you mean OWN-2?; nothing was deleted"),
        (("product", "own-2"), "did you mean OWN-2?"),
        (("product",), "Name products, or a --category"),
        (("product", "--category", "mime"), "no product is in the category 'mime'; did you mean mine?"),
        (("market", "DEE"), "the rulebook has no market DEE; did you mean DE?"),
        (("market", "default"), "market DEFAULT is still in use"),
        (("list", "sales"), "the rulebook has no price list sales; did you mean sale?"),
        (("promotion", "winter"), "the rulebook has no promotion winter; there are spring"),
    ],
)
def test_what_does_not_exist_is_named_with_what_was_meant(
    just: Just, arguments: tuple[str, ...], sentence: str
) -> None:
    done = just(*arguments)
    assert done.exit_code != 0
    assert sentence in done.stderr


def test_rules_are_deleted_by_name(just: Just, loaded: Settings) -> None:
    assert "queries from DE get the prices of the market DEFAULT" in just("market", "de").stderr
    assert "its entries count no more" in just("list", "sale").stderr
    assert just("promotion", "spring").exit_code == 0
    with pools.connect(loaded, "tests") as conn:
        book = store.active(conn).rulebook
    assert (book.price_lists, book.promotions, "DE" in book.markets) == ((), (), False)


def test_a_start_without_the_demo_stays_without_it(migrated_database: Callable[[], Settings]) -> None:
    settings = migrated_database()
    with pools.connect(settings, "tests") as conn:
        store.ensure_default(conn)
        assert demo.is_wanted(conn)
    for option in ("--none", "--if-new", "--none"):
        assert CliRunner().invoke(load_demo, [option], obj=settings).exit_code == 0
    with pools.connect(settings, "tests") as conn:
        assert conn.execute("SELECT count(*) AS n FROM products").fetchone() == {"n": 0}
        assert markets(conn) == {"DEFAULT": 1}
