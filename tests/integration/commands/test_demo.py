"""The demo catalogue: the same on every machine, and every price of it one that the rules allow."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from shared.cache import sheets
from shared.commands import demo
from shared.postgres import pools
from shared.postgres.pools import Conn
from shared.prices import published
from shared.pricing.currencies import EXPONENTS
from shared.pricing.money import MAX_AMOUNT, ceil_to
from shared.pricing.policy import DEFAULT_POLICY
from shared.pricing.sheet import PriceSheet
from shared.rulebook import store as rulebook
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
IDS = [f"P-{number}" for number in range(100, 1000)]
CATALOGUE = """
import msgspec
from shared.commands import demo
products = list(demo.demo_products())
print(msgspec.json.encode([products, [list(demo.demo_signals(p)) for p in products]]).decode())
"""


@pytest.fixture
def conn(migrated_database: Callable[[], Settings]) -> Iterator[Conn]:
    """A database with the demo catalogue, and nothing else."""
    settings = migrated_database()
    with pools.connect(settings, "tests") as conn:
        rulebook.ensure_default(conn)
        demo.load(conn)
        yield conn


def loaded(conn: Conn) -> list[PriceSheet]:
    return [sheets.sheet_of(stored) for stored in published.stored_sheets(conn, IDS)]


def test_it_is_the_same_in_every_process() -> None:
    def made(seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", CATALOGUE],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert made("1") == made("2") != ""


def test_it_has_every_product_and_currencies_of_different_exponents() -> None:
    products = list(demo.demo_products())
    assert [product.product_id for product in products] == IDS
    currencies = {product.currency for product in products}
    assert len(currencies) >= 3
    assert len({EXPONENTS[currency] for currency in currencies}) >= 3
    assert len({product.category for product in products}) >= 3
    assert any(product.tiers for product in products)
    assert all(product.cost is not None and product.stock is not None for product in products)


def test_its_signals_are_about_its_products() -> None:
    signals = [signal for product in demo.demo_products() for signal in demo.demo_signals(product)]
    assert {signal.product_id for signal in signals} <= set(IDS)
    assert {signal.type for signal in signals} == {"competitor_price_changed", "demand_changed"}


def test_every_price_keeps_its_bounds(conn: Conn) -> None:
    found = {sheet.product_id: sheet for sheet in loaded(conn)}
    assert sorted(found) == IDS
    for product in demo.demo_products():
        sheet = found[product.product_id]
        assert product.cost is not None
        assert sheet.floor >= product.cost * (1 + DEFAULT_POLICY.min_margin)
        assert sheet.floor <= sheet.published_price <= MAX_AMOUNT
        assert sheet.ceiling is None or sheet.published_price <= max(sheet.ceiling, sheet.floor)
        assert sheet.floor == ceil_to(sheet.floor, sheet.currency)
        assert sheet.published_price > Decimal(0)
        assert (sheet.version, sheet.currency, sheet.list_price) == (1, product.currency, product.base_price)


def test_the_market_moves_some_prices_and_not_all(conn: Conn) -> None:
    moved = [sheet.product_id for sheet in loaded(conn) if sheet.published_price != sheet.list_price]
    assert 100 < len(moved) < 900


def test_loaded_again_it_changes_nothing(conn: Conn) -> None:
    before = msgspec.json.encode(loaded(conn))
    assert demo.load(conn) == len(IDS)
    assert msgspec.json.encode(loaded(conn)) == before
    assert conn.execute("SELECT count(*) AS n FROM price_history").fetchone() == {"n": len(IDS)}
