"""Public prices computed again from the history, and the lowest one before a reduction."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from shared.commands.history import history_command, import_history
from shared.errors import NotFound
from shared.postgres import pools
from shared.prices import public_prices
from shared.pricing.rulebook import AppliesTo, Promotion, Rulebook
from shared.rulebook import store as rulebook
from shared.rulebook import values
from shared.rulebook.store import By
from shared.rulebook.values import NewValue
from shared.settings import Settings
from tests.integration.catalogue_examples import product, write

NOW = datetime.now(UTC).replace(microsecond=0)
PRICES = {60: "100", 40: "90", 20: "95"}  # days ago → list price


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture
def shop(migrated_database: Callable[[], Settings]) -> Settings:
    """A shop of 60 days: a promotion of 10 % is open in the last 10, a market's factor is 2 in the last 30."""
    settings = migrated_database()
    summer = Promotion(
        id="summer",
        percent=Decimal(10),
        applies_to=AppliesTo(products=("P-1",)),
        from_=f"{days_ago(10):%FT%T}",
        until=f"{days_ago(-5):%FT%T}",
    )

    def with_summer(held: Rulebook) -> Rulebook:
        return replace(held, promotions=(summer,))

    with pools.pool(settings, "tests", size=2) as pool:
        with pool.connection() as conn:
            rulebook.ensure_default(conn)
            policy = rulebook.active_policy(conn)
            rulebook.change(conn, with_summer, By("tests", "summer"))
            values.add(conn, [NewValue("multiplier", "DE", Decimal(1))], By("tests", "market"))
            values.add(conn, [NewValue("multiplier", "NL", Decimal(1))], By("tests", "market"))
            values.add(conn, [NewValue("multiplier", "NL", Decimal(2))], By("tests", "market"))
        for price in PRICES.values():
            write(pool, policy, product("P-1", base_price=Decimal(price)))
        with pool.connection() as conn:
            for version, days in enumerate(PRICES, start=1):
                conn.execute("UPDATE price_history SET recorded_at = %s WHERE version = %s", [days_ago(days), version])
            conn.execute("UPDATE rulebooks SET at = %s WHERE version = 1", [days_ago(70)])
            conn.execute("UPDATE rulebooks SET at = %s WHERE version = 2", [days_ago(15)])
            for version, days in ((1, 70), (2, 70), (3, 30)):
                conn.execute(
                    "UPDATE market_values SET since = %(at)s, recorded_at = %(at)s WHERE version = %(version)s",
                    {"at": days_ago(days), "version": version},
                )
    return settings


def test_the_lowest_price_is_that_of_the_days_before_the_promotion_began(shop: Settings) -> None:
    with pools.connect(shop, "tests") as conn:
        found = public_prices.in_market(conn, "P-1", "DE", days_ago(100), NOW)
        abroad = public_prices.in_market(conn, "P-1", "NL", days_ago(100), NOW)
        before = public_prices.in_market(conn, "P-1", "DE", days_ago(100), days_ago(11))
        with pytest.raises(NotFound):
            public_prices.in_market(conn, "P-1", "XX", days_ago(100), NOW)
        with pytest.raises(NotFound):
            public_prices.in_market(conn, "P-2", "DE", days_ago(100), NOW)
    shown = [(row.at, str(row.price), row.reduction) for row in found.rows]
    assert shown == [
        (days_ago(60), "100.00", None),
        (days_ago(40), "90.00", None),
        (days_ago(20), "95.00", None),
        (days_ago(10), "85.50", "summer"),
    ]
    assert found.lowest is not None
    assert (found.lowest.price, found.lowest.before) == (Decimal("90.00"), days_ago(10))
    assert not found.lowest.insufficient_history
    assert before.lowest is None
    assert [str(row.price) for row in abroad.rows] == ["100.00", "90.00", "180.00", "190.00", "171.00"]
    assert abroad.lowest is not None
    assert abroad.lowest.price == Decimal("90.00"), "in force when the window opened, 40 days ago"


def test_the_command_shows_the_public_prices_and_the_lowest(shop: Settings) -> None:
    shown = CliRunner().invoke(history_command, ["P-1", "--market", "DE"], obj=shop)
    assert shown.exit_code == 0, shown.output
    assert f"lowest price in the 30 days before {days_ago(10):%F %T} UTC: 90.00 USD" in shown.stdout
    assert "the price is 5.00% below it" in shown.stdout
    assert "summer" in shown.stdout


def test_imported_prices_are_the_past_before_the_first_own_price(shop: Settings, tmp_path: Path) -> None:
    file = tmp_path / "past.csv"

    def imported(*rows: str) -> str:
        file.write_text("\n".join(["product_id,market,at,price,reference_price", *rows]), encoding="utf-8")
        done = CliRunner().invoke(import_history, [str(file)], obj=shop)
        return done.stdout if done.exit_code == 0 else done.stderr

    at = f"{days_ago(80):%FT%TZ}"
    rows = [f"P-1,de,{at},70,", f"P-1,DE,{days_ago(65):%FT%TZ},60.5,70", f"P-1,DE,{days_ago(12):%FT%TZ},1,"]
    for _ in range(2):
        assert "3 prices imported" in imported(*rows)
    with pools.connect(shop, "tests") as conn:
        found = public_prices.in_market(conn, "P-1", "DE", days_ago(100), NOW)
        early = public_prices.in_market(conn, "P-1", "DE", days_ago(66), NOW)
    assert [str(row.price) for row in found.rows] == ["70", "60.5", "100.00", "90.00", "95.00", "85.50"]
    assert [str(row.price) for row in early.rows][:2] == ["70", "60.5"], "the one in force at the beginning"
    assert found.lowest is not None
    assert found.lowest.price == Decimal("90.00")
    for wrong, path in (
        (f"P-1,DE,{at},-1,", "$[3].price"),
        ("P-1,DE,2026-03-01T00:00:00,1,", "$[3].at"),
        (f"P-1,DE,{NOW + timedelta(days=1):%FT%TZ},1,", "$[3].at"),
        (f",DE,{at},1,", "$[3].product_id"),
        (f"P-1,DE,{at},1", "$[3]"),
    ):
        assert path in imported(f"P-9,DE,{at},5,", wrong)
    with pools.connect(shop, "tests") as conn:
        assert conn.execute("SELECT FROM imported_prices WHERE product_id = 'P-9'").fetchone() is None
