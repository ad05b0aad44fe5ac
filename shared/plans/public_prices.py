"""Public prices that a plan moves: the price of one piece for everybody in each market that its changes touch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from shared.catalogue.product_set import ProductSet
from shared.pricing.answer import NotQuoted, Quote
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.exchange import MarketValues, Since
from shared.pricing.market import location_key
from shared.pricing.policy import Policy
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.rulebook import AppliesTo, PriceList, Promotion, RulebookPolicy
from shared.rulebook import parts
from shared.rulebook.parts import Part, PartName
from shared.rulebook.values import NewValue

# Two quotes for each product and market.
MOST_MARKETS = 50
_OF_QUOTES = {*RulebookPolicy.__struct_fields__} - {*Policy.__struct_fields__} | {"membership_rate", "rounding"}


class Moved(NamedTuple):
    """A public price before and after; None: there is none."""

    market: str
    currency: str
    old_price: Decimal | None
    new_price: Decimal | None


class Both(NamedTuple):
    """The rulebook and the market values before and after, compiled."""

    before: Terms
    after: Terms


class Sheets(NamedTuple):
    """A product's sheet before and after, bound to the rulebook before and after."""

    before: BoundSheet
    after: BoundSheet


class PublicPrices(Struct, frozen=True):
    """Where public prices may move.

    Attributes:
        markets: The codes of the markets, at most `MOST_MARKETS`.
        left_out: The number of the other ones.
        opens: The latest beginning of a changed window: prices are compared then, or now where it is past.
        reach: The products that the changes may touch; nothing: all.
    """

    markets: tuple[str, ...]
    left_out: int
    opens: datetime | None
    reach: ProductSet

    def at(self, now: datetime) -> datetime:
        """The instant at which prices are compared."""
        return now if self.opens is None else max(now, self.opens)

    def moved(self, terms: Both, sheets: Sheets, now: datetime, unpriced: list[str]) -> list[Moved]:
        """The public prices of a product that differ; markets where it has none afterwards are added to `unpriced`."""
        at = self.at(now)
        moved = []
        for market in self.markets:
            first = public_quote(terms.before, sheets.before, market, at)
            second = public_quote(terms.after, sheets.after, market, at)
            currency = second.currency if second is not None else first.currency if first is not None else ""
            old_price = None if first is None or first.currency != currency else first.final_price
            new_price = None if second is None else second.final_price
            if second is None and terms.after.place(market) is not None:
                unpriced.append(market)
            if old_price != new_price:
                moved.append(Moved(market, currency, old_price, new_price))
        return moved


def of(
    terms: Both,
    touched: Sequence[PartName],
    values: Sequence[NewValue],
    entries: Mapping[str, Sequence[str]],
) -> PublicPrices | None:
    """Where changes may move public prices; None: nowhere. Changes of the published price alone are no part of it.

    Args:
        terms: The terms before and after them.
        touched: The parts of the rulebook that they write.
        values: The market values that they write.
        entries: The products of the entries that they write, by list.
    """
    before, after = terms
    old, new = before.rules.rulebook, after.rules.rulebook
    found = [(name, parts.find(old, name), parts.find(new, name)) for name in touched]
    changed = [(name, one, other) for name, one, other in found if one != other and _reads(one, other)]
    if not changed and not values and not entries:
        return None
    markets: set[str] | None = set()
    for name, *both in changed:
        markets = _union(markets, _markets(name, both, old.policy.home_market))
    for value in values:
        markets = _union(markets, {location_key(value.name)} if value.kind == "multiplier" else None)
    every = sorted({*before.markets, *after.markets})
    for list_id in entries:
        header = parts.find(new, PartName("price_list", list_id))
        markets = _union(markets, _named_markets(header) if isinstance(header, PriceList) else set())
    codes = [code for code in every if markets is None or location_key(code) in markets]
    reach = ProductSet() if values else _reach((part for _, *both in changed for part in both), entries)
    opens = [part.opens for _, _, part in changed if isinstance(part, PriceList | Promotion) and part.opens is not None]
    shown = tuple(codes[:MOST_MARKETS])
    return PublicPrices(shown, len(codes) - len(shown), max(opens, default=None), reach)


def with_values(held: MarketValues, new: Sequence[NewValue], since: datetime | None) -> MarketValues:
    """Market values with others in force from an instant on; None: from now on."""
    if not new:
        return held
    at = since or datetime.now(UTC)
    multipliers = {location_key(code): (code, timeline) for code, timeline in held.multipliers.items()}
    rates = dict(held.rates)
    for value in new:
        row = (Since(at, value.value),)
        if value.kind == "multiplier":
            key = location_key(value.name)
            spelled = multipliers.pop(key, (value.name,))[0]
            if value.value is not None:
                multipliers[key] = spelled, row
        else:
            rates[value.name[:3], value.name[4:]] = row
    return MarketValues(dict(multipliers.values()), rates, held.version)


def _reads(one: Part | None, other: Part | None) -> bool:
    """Whether quotes read what differs: of a policy only some fields."""
    if isinstance(one, RulebookPolicy) and isinstance(other, RulebookPolicy):
        return any(getattr(one, name) != getattr(other, name) for name in _OF_QUOTES)
    return True


def _markets(name: PartName, both: Iterable[Part | None], home: str) -> set[str] | None:
    """The keys of the markets that a changed part touches; None: all."""
    if name.kind == "policy" or (name.kind == "market" and location_key(name.key) == location_key(home)):
        return None
    if name.kind == "market":
        return {location_key(name.key)}
    found: set[str] = set()
    for part in both:
        if isinstance(part, PriceList | Promotion):
            named = _named_markets(part)
            if named is None:
                return None
            found |= named
    return found


def _named_markets(part: PriceList | Promotion) -> set[str] | None:
    """The keys of the markets that its conditions name; None: they exclude none."""
    for condition in part.conditions:
        if condition.attribute == "user_location" and condition.not_in is None:
            written = condition.in_ if condition.in_ is not None else (condition.eq,)
            values = [each for one in written for each in (one if isinstance(one, list | tuple) else [one])]
            return {location_key(value) for value in values if isinstance(value, str)}
    return None


def _reach(found: Iterable[Part | None], entries: Mapping[str, Sequence[str]]) -> ProductSet:
    """The products of the parts and entries; a part for more than ids and categories reaches all."""
    named = tuple(sorted({product_id for ids in entries.values() for product_id in ids}))
    reach = ProductSet(named) if named else None
    for part in found:
        if part is None:
            continue
        applies_to = _applies_to(part)
        if applies_to is None or applies_to.brands is not None or applies_to.tags is not None:
            return ProductSet()
        own = ProductSet(tuple(applies_to.products or ()), tuple(applies_to.categories or ()))
        reach = own if reach is None else reach.union(own)
    return reach or ProductSet()


def _applies_to(part: Part) -> AppliesTo | None:
    return part.applies_to if isinstance(part, Promotion) else None


def _union(one: set[str] | None, other: set[str] | None) -> set[str] | None:
    return None if one is None or other is None else one | other


def public_quote(terms: Terms, bound: BoundSheet, market: str, at: datetime, *, explain: bool = False) -> Quote | None:
    """The public price in a market; None: there is none."""
    if terms.place(market) is None:
        return None
    try:
        return quote(
            terms, bound, PriceQuery(product_id=bound.sheet.product_id, user_location=market), at, explain=explain
        )
    except NotQuoted:
        return None
