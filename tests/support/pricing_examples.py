"""A product, a sheet, a market and a query to start from, and strategies that make any of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from shared.pricing.decision import Decision, decide
from shared.pricing.market import Market
from shared.pricing.market_rules import CompetitorRule, DemandRule, Strategy
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput, Tier
from shared.pricing.query import PriceQuery
from shared.pricing.sheet import PriceSheet
from shared.pricing.signal import Signal
from shared.pricing.state import NEW, PastPrice, PriceState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROPERTY = settings(deadline=None, max_examples=200)


def product(**fields: Any) -> ProductInput:
    known: dict[str, Any] = {"product_id": "P-1", "name": "Kettle", "currency": "USD"}
    return ProductInput(**{**known, "base_price": Decimal("100.00"), **fields})


def sheet(**fields: Any) -> PriceSheet:
    known: dict[str, Any] = {
        "product_id": "P-1",
        "version": 3,
        "policy_version": 2,
        "currency": "USD",
        "list_price": Decimal("100.00"),
        "floor": Decimal("0.00"),
        "ceiling": None,
        "membership_rate": Decimal("0.05"),
        "rounding": "HALF_UP",
        "computed_at": NOON,
    }
    merged = {**known, **fields}
    merged.setdefault("published_price", merged["list_price"])
    return PriceSheet(**merged)


def market(multiplier: str = "1", code: str = "NY") -> Market:
    return Market(code=code, multiplier=Decimal(multiplier), version=1)


def query(**fields: Any) -> PriceQuery:
    return PriceQuery(**{"product_id": "P-1", **fields})


def tiers(*rows: tuple[int | None, str]) -> tuple[Tier, ...]:
    return tuple(Tier(up_to=up_to, unit_price=Decimal(price)) for up_to, price in rows)


def competitor(value: str, source: str = "acme", currency: str = "USD", in_stock: bool = True) -> Signal:
    return Signal(kind="competitor", source=source, value=Decimal(value), currency=currency, in_stock=in_stock)


def demand(index: str, source: str = "web") -> Signal:
    return Signal(kind="demand", source=source, value=Decimal(index))


def state(price: Decimal | None, since: datetime = NOON - timedelta(hours=1)) -> PriceState:
    """A price that was published an hour ago; None: the product has no price yet."""
    return NEW if price is None else PriceState(past=(PastPrice(since, price),))


def policy(**fields: Any) -> Policy:
    """Matches the lowest competitor, then follows demand; no step limit unless asked for."""
    both = Strategy(
        competitor=CompetitorRule(lowest=Decimal("0.5"), highest=Decimal("1.2")),
        demand=DemandRule(lowest=Decimal("0.8"), highest=Decimal("1.25")),
    )
    known: dict[str, Any] = {"max_over_list": Decimal("1.5"), "min_margin": Decimal("0.05")}
    known |= {"strategies": {"both": both, "list_price": Strategy()}, "default_strategy": "both"}
    return Policy(**{**known, **fields})


def amounts(places: int = 2, largest: int = 999_999) -> st.SearchStrategy[Decimal]:
    return st.decimals(0, largest, places=places)


multipliers = st.decimals(Decimal("0.01"), 100, places=4)
shares = st.decimals(0, 1, places=4)
markets = st.builds(Market, code=st.just("NY"), multiplier=multipliers, version=st.just(1))


@st.composite
def tier_lists(draw: st.DrawFn) -> tuple[Tier, ...]:
    """No tiers, or up to four of them in order."""
    ends = sorted(draw(st.sets(st.integers(1, 2_000), max_size=3)))
    if not ends and draw(st.booleans()):
        return ()
    return tuple(Tier(up_to=end, unit_price=draw(amounts())) for end in [*ends, None])


@st.composite
def sheets(draw: st.DrawFn) -> PriceSheet:
    """Sheets of any price, bound, tier and rounding; published prices carry more digits than a cent."""
    return sheet(
        list_price=draw(amounts()),
        published_price=draw(amounts(places=6)),
        floor=draw(amounts()),
        ceiling=draw(st.none() | amounts()),
        tiers=draw(tier_lists()),
        membership_rate=draw(shares),
        rounding=draw(st.sampled_from(["HALF_UP", "HALF_DOWN", "HALF_EVEN"])),
    )


queries = st.builds(
    PriceQuery,
    product_id=st.just("P-1"),
    user_location=st.none() | st.sampled_from(["NY", "LA", "nowhere"]),
    is_prime_member=st.booleans(),
    quantity=st.integers(1, 3_000),
    currency=st.sampled_from([None, "USD"]),
)

signals = st.lists(
    st.builds(
        Signal,
        kind=st.just("competitor"),
        source=st.sampled_from("abc"),
        value=amounts(),
        currency=st.sampled_from(["USD", "EUR"]),
        in_stock=st.booleans(),
        shipping=st.none() | amounts(largest=50),
        at=st.sampled_from([None, NOON, NOON - timedelta(hours=1)]),
        expires_at=st.sampled_from([None, NOON, NOON + timedelta(hours=1)]),
    )
    | st.builds(Signal, kind=st.just("demand"), source=st.sampled_from("xyz"), value=multipliers),
    max_size=6,
)


def decided(item: ProductInput, heard: Sequence[Signal], rules: Policy, last: Decimal | None) -> Decision:
    """A decision at noon; `last` is the price in force, published an hour before."""
    return decide(item, heard, rules, state(last), NOON)
