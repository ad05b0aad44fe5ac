"""A shop's rules over the demo catalogue, and a shop's queries: price lists, promotions, markets and currencies."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from shared.catalogue import price_lists
from shared.commands import demo
from shared.postgres import pools
from shared.prices import list_entries
from shared.prices.new_versions import Cause
from shared.pricing.entries import EntryInput
from shared.pricing.product import ProductInput
from shared.pricing.rulebook_check import read
from shared.pricing.tiers import ListTier
from shared.rulebook import exchange_rates, store
from shared.rulebook.exchange_rates import NewRate
from shared.rulebook.values import By
from shared.settings import Settings
from tests.bench.catalogue import HOT, MEMBERS, QUANTITIES, SEED

BY = By("bench", "shop")
GROUPS = ("b2b", "staff", "vip", "none-of-them")
CHANNELS = ("web", "app", None)
PROMOTIONS = 40
CURRENCIES = {"US": "USD", "DE": "EUR", "CH": "CHF", "UK": "GBP", "FR": "EUR", "CA": "USD"}
RATES = {"EUR": "0.92", "CHF": "0.88", "GBP": "0.79", "JPY": "150", "KWD": "0.3"}


def fill(settings: Settings) -> None:
    """Give the catalogue 3 lists with an entry of each for every product, 40 promotions, 6 markets, 4 currencies."""
    with pools.connect(settings, "bench") as conn:
        shipped = store.active(conn).rulebook
        policy = {**msgspec.to_builtins(shipped.policy), "convert": True}
        store.publish(conn, read({**_document(), "policy": policy}), BY)
        exchange_rates.put(conn, [NewRate("USD", code, Decimal(rate)) for code, rate in RATES.items()], BY)
        for list_id, factor in (("wholesale", "0.8"), ("vip", "0.9"), ("sale", "0.95")):
            entries = [_entry(product, Decimal(factor), list_id) for product in demo.demo_products()]
            rows = [price_lists.row_of(entry, list_id, 0, 0) for entry in entries]
            price_lists.add(conn, list_id, 0, rows)
        list_entries.put(conn, HOT, Cause("write", "bench"))


def queries(count: int) -> Iterator[dict[str, object]]:
    """So many queries, each unlike the others: customer groups, channels, places, quantities and a free attribute."""
    dice = random.Random(SEED)
    for number in range(count):
        query: dict[str, object] = {"product_id": dice.choice(HOT), "attributes": {"visit": number}}
        if location := dice.choice((*CURRENCIES, None)):
            query["user_location"] = location
        if channel := dice.choice(CHANNELS):
            query["channel"] = channel
        if dice.random() < 0.5:
            query["customer_groups"] = [dice.choice(GROUPS)]
        if dice.random() < MEMBERS:
            query["is_prime_member"] = True
        yield query | {"quantity": dice.choice(QUANTITIES)}


def _document() -> dict[str, Any]:
    now = datetime.now(UTC)
    year = {"from": (now - timedelta(days=180)).isoformat(), "until": (now + timedelta(days=180)).isoformat()}
    markets = {code: {"currency": currency} for code, currency in CURRENCIES.items()}
    lists = [
        {"id": "wholesale", "kind": "override", "conditions": [_in("customer_groups", "b2b")]},
        {"id": "vip", "kind": "override", "conditions": [_in("customer_groups", "vip"), _in("channel", "app")]},
        {"id": "sale", "kind": "sale", **year},
    ]
    promotions = [_promotion(number, year) for number in range(PROMOTIONS)]
    return {"markets": {"DEFAULT": {}, **markets}, "price_lists": lists, "promotions": promotions}


def _promotion(number: int, year: dict[str, str]) -> dict[str, Any]:
    """One in four fits everything and is open; the others are for categories, groups, channels, or another season."""
    common = {"id": f"promotion-{number}", "percent": str(1 + number % 9), "priority": number}
    category = {"categories": [demo.CATEGORIES[number % len(demo.CATEGORIES)]]}
    match number % 4:
        case 0:
            return {**common, "applies_to": category, "conditions": [_in("customer_groups", GROUPS[number // 4 % 4])]}
        case 1:
            return {**common, **year, "conditions": [_in("channel", "app"), _in("user_location", "DE", "FR")]}
        case 2:
            return {**common, "applies_to": category, "conditions": [{"attribute": "quantity", "gte": 20}]}
    return {**common, "from": "2020-01-01T00:00:00Z", "until": "2020-02-01T00:00:00Z"}


def _in(attribute: str, *values: str) -> dict[str, Any]:
    return {"attribute": attribute, "in": list(values)}


def _entry(product: ProductInput, factor: Decimal, list_id: str) -> EntryInput:
    price = (product.base_price * factor).quantize(product.base_price)
    if list_id != "wholesale":
        return EntryInput(product_id=product.product_id, amount=price)
    ends = (4, 9, 49, 99, None)
    steps = [(price * (100 - step * 2) / 100).quantize(price) for step in range(len(ends))]
    tiers = [
        ListTier(up_to=None if end is None else Decimal(end), unit_price=step)
        for end, step in zip(ends, steps, strict=True)
    ]
    return EntryInput(product_id=product.product_id, tiers=tuple(tiers))
