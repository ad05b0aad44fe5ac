"""The price facts: rules taken from the documentation and the tests of other systems, by their ids.

They are M, O, S (without history), P and R of `price-facts.md`; tiers are in `test_tier_facts.py`. M12 (more digits
than an amount may have) and R15 (the digits of ISO 4217) are in `test_shop_quote.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest

from shared.pricing.answer import NoPrice
from shared.pricing.rulebook_check import RulebookRefused
from tests.support.pricing_examples import NOON
from tests.support.shop_examples import entry, quoted, rulebook, shop_sheet, values


class Fact(NamedTuple):
    """One fact: rules, entries, product and query, and the fields of the quote; no figures: there is no price."""

    id: str
    expected: Mapping[str, str] | None
    lists: Sequence[Any] = ()
    entries: Sequence[tuple[str, str]] = ()
    promotions: Sequence[Mapping[str, Any]] = ()
    policy: Mapping[str, Any] = {}
    product: Mapping[str, Any] = {}
    query: Mapping[str, Any] = {}
    markets: Mapping[str, Any] = {"DEFAULT": {}}
    rates: Mapping[str, str] = {}
    at: str = "2026-03-01T12:00:00Z"


def is_(attribute: str, *values: str) -> dict[str, Any]:
    return {"attribute": attribute, "in": list(values)}


def row(name: str, currency: str, lowest: int, highest: int, *conditions: Any) -> dict[str, Any]:
    """A price row of Medusa: an override list whose conditions are the row's rules and quantities."""
    of_quantity = {"attribute": "quantity", "gte": lowest, "lte": highest}
    return {"id": name, "kind": "override", "currency": currency, "conditions": [of_quantity, *conditions]}


REGION, COMPANY = is_("attributes.region", "PL"), is_("attributes.company", "medusa-company-id")
GROUP = is_("customer_groups", "test-customer-group")
M_ROWS = [
    row("p2", "PLN", 1, 5, COMPANY),
    row("p3", "PLN", 1, 4, REGION),
    row("p4", "PLN", 1, 10, REGION, COMPANY),
    row("p5", "PLN", 4, 10, REGION),
    row("e1", "EUR", 1, 3, REGION, COMPANY),
    row("e2", "EUR", 4, 10, REGION, COMPANY),
    row("e3", "EUR", 1, 3, REGION, COMPANY, GROUP),
]
M_PRICES = [("p2", "400"), ("p3", "300"), ("p4", "999"), ("p5", "250"), ("e1", "200"), ("e2", "50"), ("e3", "100")]
PLN = {"currency": "PLN", "list_price": Decimal("1000.00")}
SALE = {
    "id": "L",
    "kind": "sale",
    "currency": "PLN",
    "conditions": [is_("attributes.region", "DE", "DK"), is_("customer_groups", "vip", "another-vip")],
}
CONTEXT = {
    "currency": "PLN",
    "customer_groups": ("vip",),
    "attributes": {"region": "DE", "company": "medusa-company-id"},
}


def pln(fact: str, expected: Mapping[str, str] | None, **query: Any) -> Fact:
    """A query to Medusa's first price set."""
    free = {name: query.pop(name) for name in ("region", "company") if name in query}
    asked = {"currency": "PLN", "attributes": free, **query}
    return Fact(fact, expected, M_ROWS, M_PRICES, product=PLN, query=asked)


def price_is(final: str, **fields: str) -> dict[str, str]:
    return {"final_price": final, **fields}


def in_list(fact: str, expected: Mapping[str, str], **header: Any) -> Fact:
    """Medusa's list L beside the row of the company."""
    lists = [row("p2", "PLN", 1, 5, COMPANY), {**SALE, **header}]
    return Fact(fact, expected, lists, [("p2", "400"), ("L", "232")], product=PLN, query=CONTEXT)


MEDUSA = [
    pln("M2", price_is("1000", reference_price="1000")),
    pln("M3", price_is("300", reference_price="300"), region="PL"),
    pln("M4", price_is("1000"), company="doesnotexist"),
    pln("M5", price_is("250"), region="PL", quantity=5),
    pln("M6", price_is("300"), region="PL", company="does-not-exist", customer_groups=("test",)),
    pln("M7", price_is("100"), region="PL", company="medusa-company-id", customer_groups=("test-customer-group",),
        currency="EUR"),
    pln("M8", price_is("1000"), region="?", company="?", customer_groups=("?",)),
    pln("M9", None, region="?", currency="EUR"),
    Fact("M10", price_is("0", total="0"), [{"id": "usd", "kind": "override", "currency": "USD"}], [("usd", "0")],
         product=PLN, query={"currency": "USD"}),
    Fact("M11", None, product=PLN, query={"currency": "USD"}),
    in_list("M13", price_is("232", reference_price="400")),
    in_list("M16", price_is("232", reference_price="232"), kind="override"),
    in_list("M18", price_is("232", reference_price="400"),
            **{"from": "2026-02-28T12:00:00Z", "until": "2026-03-02T12:00:00Z"}),
    in_list("M19", price_is("400", reference_price="400"), **{"from": "2026-03-02T12:00:00Z"}),
    in_list("M20", price_is("400", reference_price="400"), until="2026-02-28T12:00:00Z"),
    Fact("M27", price_is("29.95", reference_price="34.96"),
         [{"id": "o", "kind": "override", "currency": "USD"}, {"id": "s", "kind": "sale", "currency": "USD"}],
         [("o", "34.96"), ("s", "29.95")], product={"list_price": Decimal("49.95")}),
    Fact("M28", price_is("49.95", reference_price="49.95"), [{"id": "s", "kind": "sale", "currency": "USD"}],
         [("s", "59.95")], product={"list_price": Decimal("49.95")}),
]  # fmt: skip


def formula(fact: str, price: str, expected: str, **adjustment: Any) -> Fact:
    """A list with an adjustment of the published price."""
    lists = [{"id": "a", "kind": "override", "adjustment": adjustment}]
    return Fact(fact, price_is(expected), lists, product={"list_price": Decimal(price)})


CHARM = {"multiple_of": "10", "plus": "-0.01"}
IN_APRIL = {"from": "2020-04-06T09:00", "until": "2020-04-09T12:00"}
HALF = [{"id": "half", "kind": "override", "adjustment": {"percent": 50}, **IN_APRIL}]
TEN_OF_TEN = [
    {"id": "b", "kind": "override", "priority": 1, "adjustment": {"of": {"list": "a"}, "percent": 10}},
    {"id": "a", "kind": "override", "adjustment": {"percent": 10}},
]
ODOO = [
    formula("O1", "1000", "1292", percent=-20, multiple_of=5, plus=92),
    formula("O2", "23.40", "19.99", **CHARM),
    formula("O2", "27.00", "29.99", **CHARM),
    formula("O3", "0", "0", multiple_of=1, plus="-0.01"),
    Fact("O7", price_is("81"), TEN_OF_TEN),
    *(Fact("O8", price_is("180", total=total), [{"id": "e", "kind": "override", "currency": "EUR",
                                                 "adjustment": {"percent": 10}}],
           policy={"convert": True}, rates={"USD/EUR": "2.0"}, query={"currency": "EUR", "quantity": quantity})
      for quantity, total in ((1, "180"), (10, "1800"))),
    formula("O9", "20", "22", percent=-10),
    Fact("O11", price_is("1000"), HALF, product={"list_price": Decimal(1000)}, at="2020-04-05T08:00:00Z"),
    Fact("O11", price_is("500"), HALF, product={"list_price": Decimal(1000)}, at="2020-04-06T10:00:00Z"),
    Fact("O15", price_is("20.63"), [{"id": "c", "kind": "override", "adjustment": {"of": "cost", "percent": -25}}],
         product={"cost": Decimal("16.50")}),
    *(Fact("O16", price_is("158.00", total=total, reference_price="168.00"),
           [{"id": "s", "kind": "sale", "currency": "USD"}], [("s", "158")],
           product={"list_price": Decimal("168.00")}, query={"quantity": quantity})
      for quantity, total in ((1, "158.00"), (2, "316.00"))),
    Fact("O18", price_is("106", **{"tax.amount": "6", "tax.rate": "0.06"}), product={"list_price": Decimal(121)},
         markets={"HOME": {"tax_rates": {"standard": "0.21"}},
                  "DEST": {"tax_rates": {"standard": "0.06"}, "keep": "net"}},
         policy={"home_market": "HOME"}, query={"user_location": "DEST"}),
]  # fmt: skip


def off(percent: Any = None, amount: Any = None, **fields: Any) -> dict[str, Any]:
    currency = None if amount is None else "USD"
    found = {"id": f"p{percent}-{amount}", "percent": percent, "amount": amount, "currency": currency, **fields}
    return {name: value for name, value in found.items() if value is not None}


def minus(fact: str, price: str, expected: str, *promotions: Any, **rest: Any) -> Fact:
    product = {"list_price": Decimal(price), **rest.pop("product", {})}
    return Fact(fact, price_is(expected), promotions=promotions, product=product, **rest)


CHRISTMAS = off(30, **{"from": "2021-12-20", "until": "2021-12-30"})
SYLIUS = [
    minus("S1", "20.00", "17.00", off(15)),
    minus("S1", "20.25", "17.21", off(15)),
    minus("S1", "10.50", "8.93", off(15)),
    minus("S1", "9.94", "8.45", off(15)),
    minus("S2", "9.51", "6.66", off(30)),
    minus("S4", "20.00", "15.00", off(80), product={"floor": Decimal("15.00")}),
    minus("S4", "20.00", "15.00", off(amount=10), product={"floor": Decimal("15.00")}),
    minus("S6", "10.00", "0", off(amount=11)),
    minus("S7", "100", "70", off(50, priority=100), off(30, priority=500, exclusive=True)),
    minus("S10", "20.00", "14.00", CHRISTMAS, at="2021-12-25T12:00:00Z"),
    minus("S10", "20.00", "20.00", CHRISTMAS, at="2021-12-15T12:00:00Z"),
    minus("S10", "20.00", "20.00", CHRISTMAS, at="2022-01-01T12:00:00Z"),
    minus("S10", "20.00", "20.00", {**CHRISTMAS, "until": "2021-12-23"}, at="2021-12-25T12:00:00Z"),
]

LIST1 = {"id": "l1", "kind": "override", "currency": "USD", "priority": 2}
LIST2 = {"id": "l2", "kind": "override", "currency": "USD", "priority": 1}
BASE = {"list_price": Decimal("19.99")}
SPREE = [
    Fact("P1", price_is("15.99"), [LIST1], [("l1", "15.99")], product=BASE),
    Fact("P2", price_is("19.99"), [{**LIST1, "until": "2026-01-01"}], [("l1", "15.99")], product=BASE),
    Fact("P3", price_is("0"), [LIST1], [("l1", "0")], product=BASE),
    Fact("P4", price_is("19.99"), [LIST1], product=BASE),
    Fact("P5", price_is("15.99"), [LIST2, LIST1], [("l1", "15.99"), ("l2", "17.99")], product=BASE),
    Fact("P5", price_is("17.99"), [LIST2, LIST1], [("l1", "17.99"), ("l2", "15.99")], product=BASE),
    Fact("P8", None, product=BASE, query={"currency": "EUR"}),
]

UK = {"UK": {"tax_rates": {"standard": "0.20"}}}
NET = {"amounts": "net", "home_market": "UK"}
LINE = {"rounds": "line"}
EURO: dict[str, Any] = {
    "policy": {"convert": True},
    "rates": {"USD/EUR": "0.86"},
    "product": {"list_price": Decimal("54.99")},
}


def taxed(fact: str, price: str, expected: Mapping[str, str], quantity: int, **policy: Any) -> Fact:
    return Fact(fact, expected, product={"list_price": Decimal(price)}, markets=UK,
                policy={"home_market": "UK", **policy},
                query={"user_location": "UK", "quantity": quantity})  # fmt: skip


ROUNDING = [
    *(minus("R1", price, expected, off(10))
      for price, expected in (("1.06", "0.95"), ("2.06", "1.85"), ("3.06", "2.75"), ("4.06", "3.65"))),
    # The other reading takes the discount off the sum of 10.24; here it is a line of four.
    minus("R1", "2.56", "2.30", off(10), query={"quantity": 4}),
    Fact("R1", {"total": "9.20"}, promotions=[off(10)], product={"list_price": Decimal("2.56")},
         query={"quantity": 4}),
    Fact("R1", {"total": "9.22"}, promotions=[off(10)], product={"list_price": Decimal("2.56")}, policy=LINE,
         query={"quantity": 4}),
    minus("R3", "100", "50", off(10), off(50), policy={"stacking": "best"}),
    minus("R3", "100", "50", off(amount=1), off(5), off(50), policy={"stacking": "best"}),
    taxed("R4", "0.31", {"final_price": "0.37"}, 1, **NET),
    taxed("R4", "0.31", {"total": "3.70"}, 10, **NET),
    taxed("R4", "0.31", {"total": "3.72"}, 10, **NET, **LINE),
    taxed("R6", "38.23", {"total": "38.23", "tax.amount": "6.37"}, 1),
    taxed("R6", "38.23", {"total": "382.30", "tax.amount": "63.70"}, 10),
    taxed("R6", "38.23", {"total": "382.30", "tax.amount": "63.72"}, 10, **LINE),
    Fact("R8", {"final_price": "47.29", "total": "236.45"}, query={"currency": "EUR", "quantity": 5}, **EURO),
    Fact("R8", {"final_price": "47.29", "total": "236.46"}, query={"currency": "EUR", "quantity": 5},
         **{**EURO, "policy": {"convert": True, **LINE}}),
    minus("R10", "10.50", "8.92", off(15), product={"rounding": "HALF_DOWN"}),
    minus("R10", "10.50", "8.93", off(15)),
    Fact("R11", {"final_price": "0.012345", "total": "123.45"}, [{"id": "l", "kind": "override", "currency": "AUD",
                                                                  "price_decimals": 6}],
         [("l", "0.012345")], product={"currency": "AUD"}, query={"quantity": 10_000}),
    *(Fact("R14", price_is("100"), [{"id": "s", "kind": "sale", "from": "2026-07-30"}], [("s", "1")], at=at)
      for at in ("2026-07-29T14:00:00Z", "2026-07-30T00:00:00+10:00")),
]  # fmt: skip

FACTS = [*MEDUSA, *ODOO, *SYLIUS, *SPREE, *ROUNDING]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.id)
def test_the_fact_holds(fact: Fact) -> None:
    book = rulebook(lists=fact.lists, promotions=fact.promotions, markets=fact.markets, **fact.policy)
    priced = shop_sheet([entry(name, amount) for name, amount in fact.entries], **fact.product)
    world = values(rates=fact.rates)
    at = datetime.fromisoformat(fact.at)
    if fact.expected is None:
        with pytest.raises(NoPrice):
            quoted(book, priced, at=at, world=world, **fact.query)
        return
    got = msgspec.to_builtins(quoted(book, priced, at=at, world=world, **fact.query))
    for name, expected in fact.expected.items():
        field, _, inner = name.partition(".")
        found = got[field][inner] if inner else got[field]
        assert Decimal(found) == Decimal(expected), name


def test_every_fact_without_history_has_a_row() -> None:
    """M1 is a query without currency, which has the product's here: it is in the table as M2."""
    ids = {fact.id for fact in FACTS} | {
        "M12",
        "M30",
        "M31",
        "O13",
        "R15",
        "S3",
        *(f"T{n}" for n in (1, 2, 3, 4, 5, 8)),
    }
    of_medusa = {f"M{n}" for n in (*range(2, 14), 16, 18, 19, 20, 27, 28, 30, 31)}
    of_odoo = {f"O{n}" for n in (1, 2, 3, 7, 8, 9, 11, 13, 15, 16, 18)}
    of_sylius = {f"S{n}" for n in (1, 2, 3, 4, 6, 7, 10)}
    of_tiers = {f"T{n}" for n in (1, 2, 3, 4, 5, 8)}
    of_spree = {f"P{n}" for n in (1, 2, 3, 4, 5, 8)}
    of_rounding = {f"R{n}" for n in (1, 3, 4, 6, 8, 10, 11, 14, 15)}
    assert ids == of_medusa | of_odoo | of_sylius | of_tiers | of_spree | of_rounding


def test_promotions_apply_by_priority_and_the_steps_show_each_price() -> None:
    """S3."""
    promotions = [off(25, priority=10), off(amount=10, priority=40), off(amount=5, priority=20), off(50, priority=30)]
    got = quoted(rulebook(promotions=promotions), shop_sheet(), explain=True)
    after = [step.after for step in got.steps or () if step.rule == "promotion"]
    assert after == [Decimal(90), Decimal(45), Decimal(40), Decimal(30)]
    assert got.promotions == ("pNone-10", "p50-None", "pNone-5", "p25-None")


def test_the_table_uses_the_documents_form() -> None:
    with pytest.raises(RulebookRefused):
        rulebook(lists=[{"id": "l"}])
    assert quoted(rulebook(), shop_sheet(), at=NOON).final_price == 100
