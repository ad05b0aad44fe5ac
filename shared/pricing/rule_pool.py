"""Pools of rules: which of them fit a query at an instant, found without looking at each one."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from shared.pricing.conditions import Key, Predicate, Reader, is_of_keys_alone, keys, predicate, reader, specificity
from shared.pricing.entries import PriceEntry
from shared.pricing.exchange import earliest
from shared.pricing.query import PriceQuery
from shared.pricing.ratio import multiply
from shared.pricing.rulebook import PriceList, Promotion

_MOST_SEGMENTS = 8
_HUNDREDTH = Decimal("0.01")

Part = TypeVar("Part", bound=PriceList | Promotion)


class Rule(Generic[Part]):
    """A price list or a promotion with its window and compiled conditions; of a list, perhaps the product's entry."""

    __slots__ = (
        "attribute",
        "closes",
        "entry",
        "named",
        "opens",
        "order",
        "part",
        "predicates",
        "rest",
        "share",
        "specificity",
    )

    def __init__(self, part: Part) -> None:
        self.part = part
        self.entry: PriceEntry | None = None
        self.opens, self.closes = part.opens, part.closes
        if (part.from_ is None) != (self.opens is None) or (part.until is None) != (self.closes is None):
            raise ValueError(f"{part.id} has a window without instants: the rulebook was not checked")
        self.specificity = specificity(part.conditions)
        self.order = -part.priority, part.id
        percent = part.percent if isinstance(part, Promotion) else None
        self.share = None if percent is None else multiply(percent, _HUNDREDTH)
        indexed = next((one for one in part.conditions if keys(one) is not None), None)
        self.attribute = None if indexed is None else indexed.attribute
        self.named = frozenset[Key]() if indexed is None else keys(indexed) or frozenset()
        self.predicates: tuple[Predicate, ...] = tuple(map(predicate, part.conditions))
        # Where a table of the values was asked, its condition holds already.
        is_known = indexed is not None and is_of_keys_alone(indexed)
        self.rest = tuple(predicate(one) for one in part.conditions if one is not indexed or not is_known)

    def with_entry(self, entry: PriceEntry, more_specific: int = 0) -> "Rule[Part]":
        """The same list with an entry, whose window lies inside the list's."""
        rule: Rule[Part] = object.__new__(Rule)
        rule.part, rule.entry = self.part, entry
        rule.opens = max(self.opens, entry.opens) if self.opens and entry.opens else self.opens or entry.opens
        rule.closes = earliest(self.closes, entry.closes)
        rule.specificity, rule.order, rule.share = self.specificity + more_specific, self.order, None
        rule.attribute, rule.named = self.attribute, self.named
        rule.predicates, rule.rest = self.predicates, self.rest
        return rule

    def fits(self, query: PriceQuery) -> bool:
        """Whether all conditions hold for the query."""
        return all(test(query) for test in self.predicates)

    def edge(self, at: datetime) -> datetime | None:
        """The next instant at which the window opens or closes; an entry outside its list's window has none."""
        opens, closes = self.opens, self.closes
        if closes is not None and (at >= closes or (opens is not None and closes <= opens)):
            return None
        return opens if opens is not None and at < opens else closes

    def state(self, at: datetime) -> str | None:
        """`not_started` or `expired`; None while the window is open."""
        if self.closes is not None and at >= self.closes:
            return "expired"
        return "not_started" if self.opens is not None and at < self.opens else None


class _Timed(NamedTuple, Generic[Part]):
    rule: Rule[Part]
    open: bool
    edge: datetime | None


class _Segment(Generic[Part]):
    """The rules of a pool between two edges of windows, by what must be looked at in a query."""

    def __init__(self, rules: Iterable[Rule[Part]], at: datetime) -> None:
        self.always: list[Rule[Part]] = []
        self.until: datetime | None = None
        self.tested: list[_Timed[Part]] = []
        tables: dict[str, dict[Key, list[_Timed[Part]]]] = {}
        for rule in rules:
            state = rule.state(at)
            if state == "expired":
                continue
            timed = _Timed(rule, state is None, rule.edge(at))
            if not rule.predicates:
                self.until = earliest(self.until, timed.edge)
                if timed.open:
                    self.always.append(rule)
            elif rule.attribute is None:
                self.tested.append(timed)
            else:
                table = tables.setdefault(rule.attribute, {})
                for key in rule.named:
                    table.setdefault(key, []).append(timed)
        self.tables: list[tuple[Reader, dict[Key, list[_Timed[Part]]]]] = [
            (reader(attribute), table) for attribute, table in tables.items()
        ]

    def fitting(self, query: PriceQuery) -> tuple[list[Rule[Part]], datetime | None]:
        found, until = self.always.copy(), self.until
        for timed in self.tested:
            until = _take(timed, query, found, until)
        for read, table in self.tables:
            values = read(query)
            if len(values) == 1:
                for timed in table.get(values[0], ()):
                    until = _take(timed, query, found, until)
            elif values:  # a rule may name several of the values
                once = {id(timed): timed for value in values for timed in table.get(value, ())}
                for timed in once.values():
                    until = _take(timed, query, found, until)
        return found, until


class Pool(Generic[Part]):
    """Rules that can touch a product, or all products."""

    def __init__(self, rules: Iterable[Rule[Part]]) -> None:
        self.rules = tuple(rules)
        edges = {edge for rule in self.rules for edge in (rule.opens, rule.closes) if edge is not None}
        self._edges = sorted(edges)
        self._segments: dict[int, _Segment[Part]] = {}

    def fitting(self, query: PriceQuery, at: datetime) -> tuple[list[Rule[Part]], datetime | None]:
        """The open rules whose conditions hold, and the next edge of a rule whose conditions hold."""
        index = bisect_right(self._edges, at) if self._edges else 0
        segment = self._segments.get(index)
        if segment is None:
            if len(self._segments) >= _MOST_SEGMENTS:
                self._segments.clear()
            segment = self._segments[index] = _Segment(self.rules, at)
        return segment.fitting(query)


def _take(timed: _Timed[Part], query: PriceQuery, found: list[Rule[Part]], until: datetime | None) -> datetime | None:
    rule, is_open, edge = timed
    for fits in rule.rest:
        if not fits(query):
            return until
    if is_open:
        found.append(rule)
    return until if edge is None else earliest(until, edge)
