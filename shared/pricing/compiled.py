"""A compiled rulebook: the rules that can touch a product are bound once per version of its sheet."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Any

from msgspec import Struct

from shared.pricing.bounds import Bounds
from shared.pricing.currencies import exponent
from shared.pricing.entries import PriceEntry
from shared.pricing.exchange import MarketValues, Timeline, earliest, in_force
from shared.pricing.local_terms import InMarket, LocalTerms, Shown
from shared.pricing.market import DEFAULT_MARKET_CODE, location_key
from shared.pricing.product import Tier
from shared.pricing.promotions import Together, together
from shared.pricing.query import PriceQuery
from shared.pricing.ratio import ONE, Ratio, multiply, reduced
from shared.pricing.reach import Reach
from shared.pricing.rule_pool import Group, Pool, Rule, Segment
from shared.pricing.rulebook import MarketRules, PriceList, Promotion, Rulebook
from shared.pricing.sheet import PriceSheet
from shared.pricing.tax import UNCHANGED, tax_form

_NO_MARKET = MarketRules()
# Of a product, by market, and by the rules that fit: 10 kB at most beside the sheet.
_MOST_MARKETS, _MOST_FITTINGS = 8, 16
# Of a rulebook, by market, currencies and tax class, and by the promotions that fit.
_MOST_LOCAL_TERMS, _MOST_TOGETHER = 4_096, 4_096


class CompiledRulebook:
    """One version of the rulebook, made once per process; it holds no market values."""

    def __init__(self, rulebook: Rulebook, version: int) -> None:
        self.version = version
        self.rulebook = rulebook
        self.policy = rulebook.policy
        self.lists = {part.id: Rule(part) for part in rulebook.price_lists}
        adjusted = (
            (rule, part.adjustment) for rule, part in zip(self.lists.values(), rulebook.price_lists, strict=True)
        )
        self.adjustments = Reach((rule, formula.applies_to) for rule, formula in adjusted if formula is not None)
        self.promotions = Reach((Rule(part), part.applies_to) for part in rulebook.promotions)
        self._together: dict[tuple[Rule[Promotion], ...], Together | None] = {}

    def of_entry(self, entry: PriceEntry) -> Rule[PriceList] | None:
        """The list of an entry; None where the entry is not of the revision in force."""
        rule = self.lists.get(entry.list)
        return rule if rule is not None and rule.part.revision == entry.revision else None

    def together(self, promotions: tuple[Rule[Promotion], ...]) -> Together | None:
        """What promotions that fit take off together; None: it depends on the price."""
        if promotions not in self._together:
            if len(self._together) >= _MOST_TOGETHER:
                self._together.clear()
            self._together[promotions] = together(promotions, self.policy.stacking)
        return self._together[promotions]


class Fitting(Struct, frozen=True, gc=False):
    """The rules that fit a query; the same object for all queries that the same rules of a product fit.

    Attributes:
        lists: The price lists that fit.
        promotions: The promotions that fit.
        until: The next edge of a window among the rules whose conditions hold.
        together: The joint factor of the promotions; None: there are none, or it depends on the price.
        plain: Whether `plain_quote` may apply them: at most one list of each kind, each with an entry and with nothing
            that changes rounding, bounds or promotions; and promotions that take off a share together.
    """

    lists: tuple[Rule[PriceList], ...]
    promotions: tuple[Rule[Promotion], ...]
    until: datetime | None
    together: Together | None = None
    plain: bool = True


class BoundSheet:
    """A sheet with the rules that can touch its product; made once per version of the sheet and of the rulebook."""

    def __init__(self, rules: CompiledRulebook, sheet: PriceSheet) -> None:
        self.sheet = sheet
        self.rules = rules
        entries = [rule.with_entry(entry) for entry in sheet.entries if (rule := rules.of_entry(entry)) is not None]
        self.by_list: dict[str, list[Rule[PriceList]]] = defaultdict(list)
        for rule in entries:
            self.by_list[rule.part.id].append(rule)
        own = (Pool(entries),) if entries else ()
        self.lists = (*own, *rules.adjustments.pools(sheet))
        self.promotions = tuple(rules.promotions.pools(sheet))
        self._nothing = None if self.lists or self.promotions else Fitting((), (), sheet.valid_until)
        self._in_force: Segment[Any] | None = None
        self._fittings: dict[tuple[Group[Any], ...], Fitting] = {}
        self.bounds = Bounds(sheet.floor, sheet.ceiling)
        self._shown: dict[tuple[LocalTerms, int], Shown] = {}
        self._in_market: dict[tuple[Place, str], InMarket] = {}
        self._proportions: dict[int | None, Ratio] = {}
        # Where nothing of the product stands beside its price.
        self.bare = sheet.content is None and sheet.map_price is None and not sheet.lows
        # Where `plain_quote` may answer: nothing stands beside the price, and no setting changes its rounding.
        self.plain = (
            sheet.content is None
            and sheet.map_price is None
            and sheet.price_decimals is None
            and bool(sheet.list_price or not sheet.tiers)
            and rules.policy.ending is None
            and rules.policy.rounds == "unit"
        )

    def fitting(self, query: PriceQuery, at: datetime) -> Fitting:
        """The lists and promotions that are open and whose conditions hold."""
        if self._nothing is not None:
            return self._nothing
        rules = self._in_force
        if rules is None or at < rules.begins or at >= rules.ends:
            rules = self._in_force = _in_force((*self.lists, *self.promotions), at)
            self._fittings.clear()
        holding = rules.holding(query)
        fitting = self._fittings.get(holding)
        if fitting is None:
            if len(self._fittings) >= _MOST_FITTINGS:
                self._fittings.clear()
            fitting = self._fittings[holding] = self._fitting(holding)
        return fitting

    def _fitting(self, groups: Iterable[Group[Any]]) -> Fitting:
        until = self.sheet.valid_until
        for group in groups:
            until = earliest(until, group.edge)
        rules = dict.fromkeys(rule for group in groups for rule in group.open)
        lists = tuple(rule for rule in rules if isinstance(rule.part, PriceList))
        promotions = tuple(rule for rule in rules if isinstance(rule.part, Promotion))
        off = self.rules.together(promotions) if promotions else None
        kinds = {rule.part.kind for rule in lists}
        plain = not rules or (
            not self.sheet.lows
            and len(kinds) == len(lists)
            and all(map(_is_plain, lists))
            and not (promotions and off is None)
        )
        return Fitting(lists, promotions, until, off, plain)

    def shown(self, local: LocalTerms, places: int) -> Shown:
        """The product's list price and bounds as a market shows them, in prices of so many decimals."""
        shown = self._shown.get((local, places))
        if shown is None:
            if len(self._shown) >= _MOST_MARKETS:
                self._shown.clear()
            list_price = local.shown(self.sheet.list_price, places, self.rules.policy.rounding)
            shown = self._shown[local, places] = Shown(list_price, local.bounds(self.bounds, places))
        return shown

    def in_market(self, terms: "Terms", place: "Place", currency: str, at: datetime) -> InMarket:
        """The product in a market of these terms at an instant, in the query's currency; the same while that holds."""
        known = self._in_market.get((place, currency))
        if known is None or not known.local.hold(at):
            local = terms.local(place, currency, self.sheet, at)
            price = Ratio(multiply(self.sheet.published_price, local.multiplier))
            price_here = None if local.factor is None else price.by(local.factor)
            known = InMarket(local, price_here, self.shown(local, local.digits))
            if len(self._in_market) >= _MOST_MARKETS:
                self._in_market.clear()
            # A rate that is missing may come at any instant.
            if price_here is not None:
                self._in_market[place, currency] = known
        return known

    def proportion(self, tier: Tier) -> Ratio:
        """The price in a tier of the product, as a share of its list price, which is not 0."""
        share = self._proportions.get(tier.up_to)
        if share is None:
            share = self._proportions[tier.up_to] = reduced(Ratio(tier.unit_price, self.sheet.list_price))
        return share

    def contract(self, entries: Iterable[PriceEntry]) -> Iterator[Rule[PriceList]]:
        """The lists with the entries of the query's customer; they are more specific by one attribute."""
        for entry in entries:
            if (rule := self.rules.of_entry(entry)) is not None:
                yield rule.with_entry(entry, more_specific=1)

    def adjusts(self, part: PriceList) -> bool:
        """Whether the list's adjustment applies to the product."""
        formula = part.adjustment
        if formula is None:
            return False
        return formula.applies_to is None or any(rule.part is part for rule in self.rules.adjustments.of(self.sheet))


def _in_force(pools: Iterable[Pool[Any]], at: datetime) -> Segment[Any]:
    """The rules of all pools between two edges of windows."""
    return reduce(Segment.beside, (pool.segment(at) for pool in pools))


def _is_plain(rule: Rule[PriceList]) -> bool:
    part, entry = rule.part, rule.entry
    of_price = entry is not None and entry.price_decimals is part.price_decimals is None
    return of_price and part.combinable and part.below_floor == "clamp"


class Place:
    """A market with its multipliers. `plain`: it computes no tax, and totals need no rounding to coins."""

    __slots__ = ("_multipliers", "code", "plain", "rules")

    def __init__(self, code: str, rules: MarketRules, multipliers: Timeline) -> None:
        self.code = code
        self.rules = rules
        self.plain = not rules.tax_rates and rules.cash_step is None
        self._multipliers = multipliers

    def multiplier(self, at: datetime) -> tuple[Decimal, datetime | None]:
        """The multiplier in force, 1 where there is none, and the next instant at which it changes."""
        rows = self._multipliers
        if rows and rows[-1].since <= at:
            return ONE if (value := rows[-1].value) is None else value, None
        value, until = in_force(rows, at)
        return ONE if value is None else value, until


class Terms:
    """A compiled rulebook together with market values: everything beside the sheet that a quote needs."""

    def __init__(self, rules: CompiledRulebook, values: MarketValues) -> None:
        self.rules = rules
        self.values = values
        codes = {location_key(code): code for code in (*values.multipliers, *rules.rulebook.markets)}
        multipliers = {location_key(code): timeline for code, timeline in values.multipliers.items()}
        codes.setdefault(location_key(DEFAULT_MARKET_CODE), DEFAULT_MARKET_CODE)
        self._places = {
            key: Place(code, rules.rulebook.markets.get(code, _NO_MARKET), multipliers.get(key, ()))
            for key, code in codes.items()
        }
        self.default = self._places[location_key(DEFAULT_MARKET_CODE)]
        self._by_code = {place.code: place for place in self._places.values()}
        home = self._places.get(location_key(rules.policy.home_market))
        self._home = home.rules if home is not None else None
        if self._home is not None and self._home.tax_rates:
            for place in self._places.values():
                place.plain = False
        self._local: dict[tuple[str, str, str, str], LocalTerms] = {}

    @property
    def markets(self) -> list[str]:
        """The codes of all markets, in order."""
        return sorted(self._by_code)

    @property
    def places(self) -> Iterable[Place]:
        """All markets."""
        return self._by_code.values()

    def place(self, location: str) -> Place | None:
        """The market of a location, without case and outer blanks; None where there is none."""
        return self._by_code.get(location) or self._places.get(location_key(location))

    def local(self, place: Place, currency: str, sheet: PriceSheet, at: datetime) -> LocalTerms:
        """The market's terms at an instant, for a query's currency and a product; the same object while they hold."""
        key = place.code, currency, sheet.currency, sheet.tax_class
        local = self._local.get(key)
        if local is None or not local.hold(at):
            local = self._local_terms(place, currency, sheet, at)
            if len(self._local) >= _MOST_LOCAL_TERMS:
                self._local.clear()
            # A rate that is missing may come at any instant.
            if local.factor is not None:
                self._local[key] = local
        return local

    def _local_terms(self, place: Place, currency: str, sheet: PriceSheet, at: datetime) -> LocalTerms:
        policy, factor = self.rules.policy, None
        multiplier, until = place.multiplier(at)
        if currency == sheet.currency:
            factor = UNCHANGED
        elif policy.convert and (rate := self.values.rate(sheet.currency, currency, at)) is not None:
            factor, until = rate.factor, earliest(until, rate.until)
        return LocalTerms(
            market=place.code,
            rules=place.rules,
            currency=currency,
            digits=exponent(currency),
            multiplier=multiplier,
            factor=factor,
            tax=tax_form(policy, self._home, place.rules, sheet.tax_class),
            since=at,
            until=until,
        )
