"""Properties of quotes by a rulebook, over random rulebooks, sheets, queries and instants."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.pricing.answer import Quote
from shared.pricing.compiled import BoundSheet, CompiledRulebook
from shared.pricing.conditions import predicate
from shared.pricing.entries import PriceEntry
from shared.pricing.query import PriceQuery
from shared.pricing.rule_pool import Pool, Rule
from shared.pricing.rulebook import Rulebook
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import NOON, PROPERTY, amounts, multipliers, shares, tier_lists
from tests.support.shop_examples import entry, quoted, rulebook, shop_sheet, values

DAYS = [None, "2026-02-01", "2026-03-01", "2026-03-02", "2026-04-01"]
INSTANTS = st.sampled_from([NOON + timedelta(days=days) for days in (-40, -1, 0, 1, 40)])
GROUPS = st.lists(st.sampled_from("abc"), max_size=2, unique=True)
PERCENTS = st.decimals(0, 100, places=4)
CONDITIONS = st.one_of(
    st.builds(
        lambda names: {"attribute": "customer_groups", "in": names}, st.lists(st.sampled_from("abc"), min_size=1)
    ),
    st.builds(lambda name: {"attribute": "channel", "eq": name}, st.sampled_from(["web", "app"])),
    st.builds(lambda name: {"attribute": "channel", "not_in": [name]}, st.sampled_from(["web", "app"])),
    st.builds(lambda number: {"attribute": "quantity", "gte": number}, st.integers(1, 20)),
    st.builds(lambda number: {"attribute": "attributes.age", "lt": number}, st.integers(1, 20)),
)
QUERIES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"quantity": st.integers(1, 30) | st.decimals("0.001", 9, places=3), "is_prime_member": st.booleans()},
    optional={
        "customer_groups": GROUPS.map(tuple),
        "channel": st.sampled_from(["web", "app"]),
        "attributes": st.fixed_dictionaries({"age": st.integers(0, 30)}),
        "currency": st.sampled_from(["USD", "EUR"]),
        "user_location": st.sampled_from(["DE", "nowhere"]),
    },
)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, str | None]:
    first, last = sorted(draw(st.tuples(st.integers(0, 4), st.integers(0, 4))))
    return {"from": DAYS[first] if first != last else None, "until": DAYS[last] if last > 0 else None}


@st.composite
def parts(draw: st.DrawFn, name: str) -> dict[str, Any]:
    conditions = draw(st.lists(CONDITIONS, max_size=2))
    return {"id": name, "priority": draw(st.integers(0, 2)), "conditions": conditions, **draw(windows())}


@st.composite
def promotions(draw: st.DrawFn, name: str) -> dict[str, Any]:
    amount = {"amount": draw(amounts()), "currency": draw(st.sampled_from(["USD", "EUR"]))}
    part = draw(parts(name)) | draw(st.just(amount) | st.builds(lambda percent: {"percent": percent}, PERCENTS))
    applies_to = draw(st.sampled_from([None, {"categories": ["general"]}, {"tags": ["x", "y"]}, {"products": ["P-2"]}]))
    of = draw(st.sampled_from(["price", "reference"]))
    return {**part, "of": of, "exclusive": draw(st.integers(0, 9)) == 0, "applies_to": applies_to}


@st.composite
def price_lists(draw: st.DrawFn, name: str) -> dict[str, Any]:
    formula = {"percent": draw(PERCENTS), "multiple_of": draw(st.sampled_from([None, "0.05", "10"]))}
    return {
        **draw(parts(name)),
        "kind": draw(st.sampled_from(["override", "sale"])),
        "currency": draw(st.sampled_from(["USD", "EUR"])),
        "ending": draw(st.booleans()),
        "combinable": draw(st.booleans()),
        "adjustment": draw(st.sampled_from([None, formula])),
    }


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `rulebook`."""
    return {
        "lists": [draw(price_lists(f"l{n}")) for n in range(draw(st.integers(0, 4)))],
        "promotions": [draw(promotions(f"p{n}")) for n in range(draw(st.integers(0, 5)))],
        "markets": {
            "DEFAULT": {"tax_rates": draw(st.sampled_from([{}, {"standard": "0.2"}]))},
            "DE": {"currency": "EUR", "show": draw(st.sampled_from(["gross", "net"])), "keep": "net"}
            | {"tax_rates": {"standard": "0.19"}, "cash_step": "0.05"},
        },
        "stacking": draw(st.sampled_from(["all", "best"])),
        "rounds": draw(st.sampled_from(["unit", "line"])),
        "ending": draw(st.sampled_from([None, {"multiple_of": "1", "plus": "-0.01"}])),
        "convert": True,
    }


@st.composite
def entries(draw: st.DrawFn) -> list[PriceEntry]:
    found = []
    for name in draw(st.lists(st.sampled_from(["l0", "l1", "l2", "l3"]), max_size=4, unique=True)):
        tiers = [{"up_to": 9, "unit_price": draw(amounts())}, {"unit_price": draw(amounts()), "flat_fee": "1.50"}]
        price = draw(st.just({"tiers": tiers}) | st.builds(lambda amount: {"amount": amount}, amounts()))
        found.append(entry(name, **price, **draw(windows())))
    return found


@st.composite
def shop_sheets(draw: st.DrawFn) -> PriceSheet:
    return shop_sheet(
        draw(entries()),
        list_price=draw(amounts()),
        published_price=draw(amounts(places=6)),
        floor=draw(amounts()),
        ceiling=draw(st.none() | amounts()),
        tiers=draw(tier_lists()),
        membership_rate=draw(shares),
        rounding=draw(st.sampled_from(["HALF_UP", "HALF_DOWN", "HALF_EVEN"])),
        tags=("x",),
    )


WORLD = values({"DE": "1.1"}, {"EUR/USD": "1.17"})


def shop_quote(document: dict[str, Any], priced: PriceSheet, at: datetime, query: dict[str, Any]) -> Quote:
    got: Quote = quoted(rulebook(**document), priced, at=at, world=WORLD, explain=True, **query)
    return got


@PROPERTY
@given(documents(), shop_sheets(), INSTANTS, QUERIES)
def test_the_steps_lead_from_base_to_final_exactly(
    document: dict[str, Any], priced: PriceSheet, at: datetime, query: dict[str, Any]
) -> None:
    got = shop_quote(document, priced, at, query)
    assert got.steps
    assert all(one.after == next_.before for one, next_ in itertools.pairwise(got.steps))
    assert round(got.steps[0].before - priced.published_price, 6) == 0
    assert got.steps[-1].after == got.final_price
    plain = quoted(rulebook(**document), priced, at=at, world=WORLD, **query)
    assert msgspec.structs.replace(got, steps=None, rejected=None) == plain


@PROPERTY
@given(documents(), shop_sheets(), INSTANTS, QUERIES, st.randoms(use_true_random=False))
def test_the_order_of_the_document_and_of_the_entries_changes_nothing(
    document: dict[str, Any], priced: PriceSheet, at: datetime, query: dict[str, Any], dice: Any
) -> None:
    shuffled = dict(document)
    for name in ("lists", "promotions"):
        shuffled[name] = dice.sample(document[name], len(document[name]))
    moved = msgspec.structs.replace(priced, entries=tuple(dice.sample(priced.entries, len(priced.entries))))
    one, other = shop_quote(document, priced, at, query), shop_quote(shuffled, moved, at, query)
    rejected = [sorted(got.rejected or (), key=lambda line: (line.rule, line.reason)) for got in (one, other)]
    assert rejected[0] == rejected[1]
    assert msgspec.structs.replace(one, rejected=None) == msgspec.structs.replace(other, rejected=None)


@PROPERTY
@given(documents(), shop_sheets(), INSTANTS, QUERIES)
def test_no_price_and_no_total_gets_below_the_floor(
    document: dict[str, Any], priced: PriceSheet, at: datetime, query: dict[str, Any]
) -> None:
    got = shop_quote(document, priced, at, {**query, "currency": "USD"})
    lowest = Fraction(priced.floor)
    if got.market == "DE":  # home has the rates of DEFAULT, and the floor's net amount stays
        home = document["markets"]["DEFAULT"]["tax_rates"].get("standard", "0")
        shown = Fraction("1.19") if document["markets"]["DE"]["show"] == "gross" else Fraction(1)
        lowest = lowest / (1 + Fraction(home)) * shown
    assert got.final_price >= lowest
    assert got.total >= lowest * Fraction(got.quantity)


@PROPERTY
@given(documents(), shop_sheets(), INSTANTS, QUERIES)
def test_the_index_finds_what_looking_at_every_rule_finds(
    document: dict[str, Any], priced: PriceSheet, at: datetime, query: dict[str, Any]
) -> None:
    book = rulebook(**document)
    bound, asked = bind(book, priced), PriceQuery(product_id="P-1", **query)
    found = bound.fitting(asked, at)
    pools: list[Pool[Any]] = [*bound.lists, *bound.promotions]
    rules = [rule for pool in pools for rule in pool.rules]
    holding = [rule for rule in rules if all(predicate(one)(asked) for one in rule.part.conditions)]
    expected = {id(rule) for rule in holding if rule.state(at) is None}
    assert {id(rule) for rule in (*found.lists, *found.promotions)} == expected
    assert found.until == min((edge for rule in holding if (edge := rule.edge(at))), default=None)


@PROPERTY
@given(documents(), CONDITIONS, shop_sheets(), INSTANTS, QUERIES)
def test_another_condition_never_widens_a_rules_reach(
    document: dict[str, Any], extra: dict[str, Any], priced: PriceSheet, at: datetime, query: dict[str, Any]
) -> None:
    def fitting(promotions: list[dict[str, Any]], lists: list[dict[str, Any]]) -> set[str]:
        book = rulebook(promotions=promotions, lists=lists)
        found = bind(book, priced).fitting(PriceQuery(product_id="P-1", **query), at)
        rules: list[Rule[Any]] = [*found.lists, *found.promotions]
        return {rule.part.id for rule in rules}

    narrowed = [
        [{**part, "conditions": [*part["conditions"], extra]} for part in document[name]]
        for name in ("promotions", "lists")
    ]
    assert fitting(*narrowed) <= fitting(document["promotions"], document["lists"])


@PROPERTY
@given(documents(), shop_sheets(), INSTANTS, QUERIES)
def test_the_callers_decimal_context_changes_no_quote(
    document: dict[str, Any], priced: PriceSheet, at: datetime, query: dict[str, Any]
) -> None:
    expected = msgspec.json.encode(shop_quote(document, priced, at, query))
    with localcontext(prec=3, rounding="ROUND_UP", capitals=0):
        assert msgspec.json.encode(shop_quote(document, priced, at, query)) == expected


@PROPERTY
@given(
    shop_sheets(),
    st.lists(PERCENTS | amounts(), max_size=12),
    st.booleans(),
    st.integers(1, 30),
    st.sampled_from(["unit", "line"]),
    st.tuples(multipliers, st.decimals("0.0001", 999, places=6), shares, shares),
)
def test_every_figure_is_exact_to_the_last_digit(
    priced: PriceSheet, off: list[Decimal], member: bool, quantity: int, rounds: str, world: tuple[Decimal, ...]
) -> None:
    """Market, tier, inverse exchange rate, promotions, membership and tax, once more without Decimal."""
    multiplier, rate, at_home, here = world
    promotions = [
        {"id": f"p{n:02}", "percent": value} if value <= 100 else {"id": f"p{n:02}", "amount": value, "currency": "EUR"}
        for n, value in enumerate(off)
    ]
    markets = {
        "HOME": {"tax_rates": {"standard": at_home}},
        "DE": {"tax_rates": {"standard": here}, "keep": "net", "show": "gross", "currency": "EUR"},
    }
    book = rulebook(promotions=promotions, markets=markets, home_market="HOME", convert=True, rounds=rounds)
    sheet = msgspec.structs.replace(priced, entries=(), floor=Decimal(0), ceiling=None)
    got = quoted(
        book,
        sheet,
        world=values({"DE": str(multiplier)}, {"EUR/USD": str(rate)}),
        user_location="DE",
        is_prime_member=member,
        quantity=quantity,
    )
    price = Fraction(sheet.published_price) * Fraction(multiplier)
    for tier in sheet.tiers:
        if tier.up_to is None or tier.up_to >= quantity:
            free = not sheet.list_price
            share = Fraction(multiplier) if free else price / Fraction(sheet.list_price)
            price = Fraction(tier.unit_price) * share
            break
    price /= Fraction(rate)
    for value in off:
        price = max(price * (1 - Fraction(value) / 100) if value <= 100 else price - Fraction(value), Fraction(0))
    price *= 1 - (Fraction(sheet.membership_rate) if member else 0)
    price *= (1 + Fraction(here)) / (1 + Fraction(at_home))
    final = to_cents(price, sheet.rounding)
    assert Fraction(got.final_price) == final
    total = final * quantity if rounds == "unit" else to_cents(price * quantity, sheet.rounding)
    assert Fraction(got.total) == total


def to_cents(amount: Fraction, rounding: str) -> Fraction:
    whole, rest = floor(amount * 100), amount * 100 - floor(amount * 100)
    half = Fraction(1, 2)
    up = rest > half or (rest == half and (rounding == "HALF_UP" or (rounding == "HALF_EVEN" and whole % 2 == 1)))
    return Fraction(whole + up, 100)


def bind(book: Rulebook, priced: PriceSheet) -> BoundSheet:
    return BoundSheet(CompiledRulebook(book, 1), priced)


def test_a_stored_rulebook_and_sheet_quote_as_the_fresh_ones() -> None:
    document: dict[str, Any] = {"promotions": [{"id": "a", "percent": "12.5", "until": "2026-12-01"}], "lists": []}
    fresh, sheet = rulebook(**document), shop_sheet([entry("l", "3")], tags=("x",))
    stored = msgspec.json.decode(msgspec.json.encode(fresh), type=Rulebook)
    cached = msgspec.json.decode(msgspec.json.encode(sheet), type=PriceSheet)
    at = datetime(2026, 5, 1, tzinfo=UTC)
    assert msgspec.json.encode(quoted(stored, cached, at=at, explain=True)) == msgspec.json.encode(
        quoted(fresh, sheet, at=at, explain=True)
    )
