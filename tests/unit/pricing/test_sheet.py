"""Sheets hold all facts that a quote reads, and sheets of older releases are still read."""

from decimal import Decimal

import msgspec

from shared.pricing.decision import decide, sheet_of
from shared.pricing.product import Content, ProductInput
from shared.pricing.sheet import PriceSheet
from shared.pricing.state import NEW
from tests.support.pricing_examples import NOON, policy, product, tiers
from tests.support.shop_examples import entry

# As the release before wrote it.
OLD = (
    '{"product_id":"P-1","version":1,"policy_version":1,"currency":"USD","list_price":"100.00",'
    '"published_price":"100.00","floor":"0.00","ceiling":"150.00","tiers":[],"membership_rate":"0.05",'
    '"rounding":"HALF_UP","computed_at":"2026-03-01T12:00:00Z","valid_until":null,'
    '"steps":[{"rule":"list_price","before":"100.00","after":"100.00","reason":"list price; strategy both"}],'
    '"rejected":[]}'
)


def decided(document: ProductInput, **more: object) -> PriceSheet:
    terms = policy(default_strategy="list_price")
    decision = decide(document, (), terms, NEW, NOON)
    fields = {"version": 1, "policy_version": 1, "policy": terms, "computed_at": NOON, **more}
    return sheet_of(document, decision, **fields)  # type: ignore[arg-type] # the tests' own fields


def test_a_sheet_of_the_release_before_is_read() -> None:
    old = msgspec.json.decode(OLD, type=PriceSheet)
    assert (old.published_price, old.ceiling) == (Decimal(100), Decimal(150))
    assert (old.entries, old.category, old.tax_class) == ((), "general", "standard")
    assert msgspec.json.decode(msgspec.json.encode(old), type=PriceSheet) == old


def test_a_plain_product_has_no_longer_a_sheet_than_before() -> None:
    plain = decided(product(category="".join(["gene", "ral"]), tax_class="".join(["stand", "ard"])))
    as_before = OLD.replace("strategy both", "strategy list_price").replace('"150.00"', "null")
    assert plain == msgspec.json.decode(as_before, type=PriceSheet)
    assert len(msgspec.json.encode(plain)) < len(OLD)
    assert len(msgspec.json.encode(decided(product(category="electronics")))) < len(OLD)


def test_a_sheet_holds_the_facts_that_rules_read() -> None:
    content = Content(amount=Decimal(750), unit="ml")
    facts = {"brand": "Acme", "tags": ("new", "red"), "content": content, "tax_class": "reduced", "category": "wine"}
    figures = {"cost": Decimal(60), "map_price": Decimal(90), "quantity_step": Decimal("0.5"), "price_decimals": 4}
    entries = (entry("l", "80"),)
    got = decided(product(**facts, **figures, max_price=Decimal(120)), entries=entries)
    for name, value in (facts | figures).items():
        assert getattr(got, name) == value, name
    assert (got.ceiling, got.entries) == (Decimal(120), entries)
    assert msgspec.json.decode(msgspec.json.encode(got), type=PriceSheet) == got


def test_a_sheet_with_three_entries_and_five_tiers_has_less_than_2_kb() -> None:
    steps = tiers((9, "98.00"), (49, "95.00"), (99, "90.00"), (499, "85.00"), (None, "80.00"))
    window = {"from": "2026-11-27T00:00:00", "until": "2026-12-01T00:00:00", "zone": "Europe/Berlin"}
    entries = tuple(entry(f"wholesale-{at}", "79.90", **window) for at in range(3))
    got = decided(
        product(tiers=steps, cost=Decimal(60), max_price=Decimal(120), category="electronics"), entries=entries
    )
    assert len(msgspec.json.encode(got)) < 2_000
