"""A direct write is tried on a sample of its products first: one that moves too many prices too far needs a plan."""

from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from shared.commands.rulebook import import_rates, put_part
from shared.errors import PlanFirst
from shared.plans import contents, trial
from shared.plans.changes import Change, Deletion, EntriesChange, MarketChange, MultiplierChange, RateChange
from shared.pricing.entries import EntryWrite
from shared.pricing.policy import Breaker
from shared.pricing.rulebook import AppliesTo, PriceList, Promotion
from shared.rulebook import store
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop


def promotion(percent: int, **fields: object) -> Change:
    return Change(promotion=Promotion(id="spring", percent=Decimal(percent), **fields))  # type: ignore[arg-type] # facts of a test


def check(shop: Shop, *changes: Change) -> None:
    trial.check(shop.services.pool.connection, *changes)


@pytest.mark.parametrize(
    "change",
    [
        promotion(50),
        Change(multiplier=MultiplierChange(market="DEFAULT", multiplier=Decimal(2))),
        Change(multiplier=MultiplierChange(market="DEFAULT", multiplier=Decimal("0.5"))),
    ],
)
def test_a_write_that_moves_too_many_public_prices_too_far_needs_a_plan(shop: Shop, change: Change) -> None:
    shop.stock(60)
    before = shop.sheets()
    with pytest.raises(PlanFirst, match="about 60 of 60 products would move by more than 30 %, and 50 are allowed"):
        check(shop, change)
    assert shop.sheets() == before


def test_so_does_a_policy_that_moves_published_prices(shop: Shop) -> None:
    shop.write(*(product(product_id, cost=Decimal(90)) for product_id in shop.ids(60)))
    with pytest.raises(PlanFirst):
        check(shop, shop.policy(min_margin=Decimal(1), max_over_list=Decimal(9)))


def test_small_moves_pass_and_so_do_large_ones_of_few_products(shop: Shop) -> None:
    ids = shop.stock(60)
    check(shop, promotion(29))
    check(shop, promotion(50, applies_to=AppliesTo(products=tuple(ids[:40]))))
    shop.write(*(product(product_id, category="toys") for product_id in ids[:40]))
    check(shop, promotion(50, applies_to=AppliesTo(categories=("toys",))))


def test_the_breaker_that_counts_is_that_of_the_policy_in_force(shop: Shop) -> None:
    shop.stock(60)
    with pytest.raises(PlanFirst):
        check(shop, promotion(50), shop.policy(breaker=Breaker(share=Decimal(1))))


def test_a_write_that_is_not_valid_is_left_to_the_write(shop: Shop) -> None:
    shop.stock(60)
    check(shop, Change(delete=Deletion(market="unknown")))
    check(shop, Change(price_list=PriceList(id="sale", kind="sale", from_="2026-07-02", until="2026-07-01")))


def test_an_empty_shop_passes(shop: Shop) -> None:
    check(shop, promotion(50))


def test_entries_and_whole_rulebooks_are_tried_too(shop: Shop) -> None:
    ids = shop.stock(60)
    shop.apply(shop.plan(Change(price_list=PriceList(id="sale", kind="sale"))).plan_id)
    half = tuple(EntryWrite(product_id=product_id, amount=Decimal(50)) for product_id in ids)
    with pytest.raises(PlanFirst):
        check(shop, Change(entries=EntriesChange(list="sale", entries=half)))
    check(shop, Change(entries=EntriesChange(list="sale", entries=half[:50])))
    with shop.services.pool.connection() as conn:
        active = store.active(conn).rulebook
    written = replace(active, promotions=(Promotion(id="spring", percent=Decimal(50)),), price_lists=())
    changes = contents.changes_between(active, written)
    assert [change.kind for change in changes] == ["delete", "promotion"]
    with pytest.raises(PlanFirst):
        check(shop, *changes)


def test_a_command_says_how_to_confirm(shop: Shop, tmp_path: Path) -> None:
    shop.stock(60)
    file = tmp_path / "promotion.json"
    file.write_text('{"id": "spring", "percent": "50"}')
    settings = shop.services.settings
    refused = CliRunner().invoke(put_part, ["promotion", str(file)], obj=settings)
    assert (refused.exit_code, "repeat the write with --confirm" in refused.output) == (1, True)
    done = CliRunner().invoke(put_part, ["promotion", str(file), "--confirm"], obj=settings)
    assert done.exit_code == 0, done.output


def test_rates_of_a_file_are_tried_and_so_is_a_rate_that_goes(shop: Shop, tmp_path: Path) -> None:
    shop.stock(60)
    german, rate = MarketChange(code="DE", currency="EUR"), RateChange(source="USD", target="EUR", rate=Decimal(1))
    shop.apply(shop.plan(shop.policy(convert=True), Change(market=german), Change(exchange_rate=rate)).plan_id)
    settings, file = shop.services.settings, tmp_path / "rates.csv"
    file.write_text("from,to,rate\nUSD,EUR,1.2\n")
    assert CliRunner().invoke(import_rates, [str(file)], obj=settings).exit_code == 0
    file.write_text("from,to,rate\nUSD,EUR,0.012\n")
    refused = CliRunner().invoke(import_rates, [str(file)], obj=settings)
    assert (refused.exit_code, "repeat the write with --confirm" in refused.output) == (1, True), refused.output
    with pytest.raises(PlanFirst, match="would move by more than 30 % or have no price any more, and 50 are allowed"):
        check(shop, contents.value_change("exchange_rate", "USD/EUR", None))
    done = CliRunner().invoke(import_rates, [str(file), "--confirm"], obj=settings)
    assert done.exit_code == 0, done.output


def test_a_write_that_takes_the_prices_of_a_market_away_needs_a_plan(shop: Shop) -> None:
    """A market gets a currency to which there is no rate."""
    shop.stock(60)
    shop.apply(shop.plan(Change(market=MarketChange(code="DE"))).plan_id)
    with pytest.raises(PlanFirst, match="have no price any more"):
        check(shop, Change(market=MarketChange(code="DE", currency="EUR")))
    check(shop, Change(delete=Deletion(market="DE")))
    check(shop, Change(market=MarketChange(code="FR", currency="EUR")))
