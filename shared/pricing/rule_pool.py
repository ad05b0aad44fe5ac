"""Pools of rules: which of them fit a query at an instant, found without looking at each one."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Generic, TypeVar

from msgspec import Struct

from shared.pricing.conditions import Key, Predicate, Reader, is_of_keys_alone, keys, predicate, reader, specificity
from shared.pricing.entries import PriceEntry
from shared.pricing.exchange import earliest
from shared.pricing.query import PriceQuery
from shared.pricing.ratio import ONE, Ratio, multiply, subtract
from shared.pricing.rulebook import PriceList, Promotion
from shared.pricing.tiers import Line

EVER, NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_MOST_SEGMENTS = 8
_HUNDREDTH = Decimal("0.01")

Part = TypeVar("Part", bound=PriceList | Promotion)


class Rule(Generic[Part]):
    """A price list or a promotion with its window and compiled conditions; of a list, perhaps the product's entry.

    `share` is the share that a promotion takes off, and `factor` the rest of the price. `line` is the line of an entry
    with one amount, for any quantity.
    """

    __slots__ = (
        "attribute",
        "closes",
        "conditions",
        "entry",
        "factor",
        "line",
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
        self.line: Line | None = None
        self.opens, self.closes = part.opens, part.closes
        if (part.from_ is None) != (self.opens is None) or (part.until is None) != (self.closes is None):
            raise ValueError(f"{part.id} has a window without instants: the rulebook was not checked")
        # Equal only for the same conditions; the conditions themselves are also equal where one has 1, the other true.
        self.conditions = repr(part.conditions)
        self.specificity = specificity(part.conditions)
        self.order = -part.priority, part.id
        percent = part.percent if isinstance(part, Promotion) else None
        self.share = None if percent is None else multiply(percent, _HUNDREDTH)
        self.factor = None if self.share is None else subtract(ONE, self.share)
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
        rule.part, rule.entry, rule.conditions = self.part, entry, self.conditions
        rule.opens = max(self.opens, entry.opens) if self.opens and entry.opens else self.opens or entry.opens
        rule.closes = earliest(self.closes, entry.closes)
        rule.specificity, rule.order = self.specificity + more_specific, self.order
        rule.line = None if entry.amount is None else Line(Ratio(entry.amount), True)
        rule.share = rule.factor = None
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


class Group(Struct, Generic[Part], frozen=True, eq=False, gc=False):
    """Rules with the same conditions between two edges of windows.

    Attributes:
        rest: The conditions that are still to be tested.
        open: The rules whose windows are open.
        edge: The next edge of a window of any of the rules.
    """

    rest: tuple[Predicate, ...]
    open: tuple[Rule[Part], ...]
    edge: datetime | None


class Segment(Generic[Part]):
    """The rules of a pool between two edges of windows, by what must be looked at in a query.

    Attributes:
        begins: The edge before, inclusive.
        ends: The edge after, exclusive.
    """

    __slots__ = ("_always", "_tables", "_tested", "begins", "ends")

    def __init__(self, rules: Iterable[Rule[Part]], at: datetime, begins: datetime, ends: datetime) -> None:
        self.begins, self.ends = begins, ends
        alike: dict[str, list[Rule[Part]]] = {}
        for rule in rules:
            if rule.state(at) != "expired":
                alike.setdefault(rule.conditions, []).append(rule)
        self._always: tuple[Group[Part], ...] = ()
        self._tested: list[Group[Part]] = []
        tables: dict[str, dict[Key, list[Group[Part]]]] = {}
        for members in alike.values():
            group, first = _group(members, at), members[0]
            if first.attribute is not None:
                table = tables.setdefault(first.attribute, {})
                for key in first.named:
                    table.setdefault(key, []).append(group)
            elif group.rest:
                self._tested.append(group)
            else:
                self._always = (group,)
        self._tables: list[tuple[Reader, dict[Key, list[Group[Part]]]]] = [
            (reader(attribute), table) for attribute, table in tables.items()
        ]

    def beside(self, other: "Segment[Part]") -> "Segment[Part]":
        """The rules of both pools, where both are in force."""
        joined: Segment[Part] = object.__new__(Segment)
        joined.begins, joined.ends = max(self.begins, other.begins), min(self.ends, other.ends)
        joined._always = self._always + other._always
        joined._tested, joined._tables = self._tested + other._tested, self._tables + other._tables
        return joined

    def holding(self, query: PriceQuery) -> tuple[Group[Part], ...]:
        """The rules whose conditions hold; some perhaps twice, where an attribute has several values."""
        found = self._always
        for group in self._tested:
            for fits in group.rest:
                if not fits(query):
                    break
            else:
                found += (group,)
        for read, table in self._tables:
            for value in read(query):
                if value not in table:
                    continue
                for group in table[value]:
                    for fits in group.rest:
                        if not fits(query):
                            break
                    else:
                        found += (group,)
        return found


class Pool(Generic[Part]):
    """Rules that can touch a product, or all products."""

    def __init__(self, rules: Iterable[Rule[Part]]) -> None:
        self.rules = tuple(rules)
        edges = {edge for rule in self.rules for edge in (rule.opens, rule.closes) if edge is not None}
        self._edges = [EVER, *sorted(edges), NEVER]
        self._segments: dict[int, Segment[Part]] = {}

    def segment(self, at: datetime) -> Segment[Part]:
        """The rules at an instant."""
        index = bisect_right(self._edges, at, 1, len(self._edges) - 1)
        segment = self._segments.get(index)
        if segment is None:
            if len(self._segments) >= _MOST_SEGMENTS:
                self._segments.clear()
            segment = self._segments[index] = Segment(self.rules, at, self._edges[index - 1], self._edges[index])
        return segment


def _group(rules: Sequence[Rule[Part]], at: datetime) -> Group[Part]:
    until: datetime | None = None
    for rule in rules:
        until = earliest(until, rule.edge(at))
    return Group(rules[0].rest, tuple(rule for rule in rules if rule.state(at) is None), until)
