"""Conditions: the queries that a price list or promotion is for."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from operator import attrgetter, ge, gt, le, lt
from typing import Any

from msgspec import Struct

from shared.pricing import money
from shared.pricing.market import location_key
from shared.pricing.query import PriceQuery, exact

Key = str | int | Decimal | tuple[bool]
Reader = Callable[[PriceQuery], tuple[Key, ...]]
Predicate = Callable[[PriceQuery], bool]

_NUMBERS, _FLAGS = "quantity", "is_prime_member"
_TEXTS = ("user_location", "currency", "channel", "customer_id", "customer_groups")
_FREE = re.compile(r"attributes\.[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}").fullmatch
_MOST, _LONGEST = Decimal(1_000_000_000_000), 1_000
_RENAMED = {"in_": "in"}
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


class Condition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename=_RENAMED):
    """One demand on an attribute of the query; with several operators, all must hold.

    `attribute` is `user_location`, `currency`, `is_prime_member`, `quantity`, `channel`, `customer_id`,
    `customer_groups` or `attributes.NAME`. A list fits if any of its values does; it fits `not_in` if none of its
    values is excluded. An attribute that the query lacks fits `not_in` only. Locations are compared without case.
    """

    attribute: str
    eq: Any = None
    in_: tuple[Any, ...] | None = None
    not_in: tuple[Any, ...] | None = None
    gt: Decimal | None = None
    gte: Decimal | None = None
    lt: Decimal | None = None
    lte: Decimal | None = None

    def __post_init__(self) -> None:
        known = self.attribute in (_NUMBERS, _FLAGS, *_TEXTS)
        if not known and not _FREE(self.attribute):
            raise ValueError(
                f"`attribute` must be attributes.NAME or one of {', '.join((*_TEXTS, _FLAGS, _NUMBERS))}, "
                f"not {self.attribute[:80]!r}"
            )
        for name, values in (("eq", self._eq), ("in", self.in_), ("not_in", self.not_in)):
            self._check_values(name, values)
        bounds = [name for name in _ORDERINGS if getattr(self, name) is not None]
        if bounds and known and self.attribute != _NUMBERS:
            raise ValueError(f"`{bounds[0]}` must not be used on {self.attribute}, which is no number; use eq or in")
        for name in bounds:
            money.number(name, getattr(self, name), -_MOST, _MOST)
        if not bounds and self._eq is self.in_ is self.not_in is None:
            raise ValueError("`attribute` must come with an operator: eq, in, not_in, gt, gte, lt or lte")

    @property
    def _eq(self) -> tuple[Any, ...] | None:
        return None if self.eq is None else (self.eq,)

    def _check_values(self, name: str, values: tuple[Any, ...] | None) -> None:
        if values is None:
            return
        if not values:
            raise ValueError(f"`{name}` must have at least one value")
        for value in values:
            if self.attribute == _FLAGS:
                right, kind = isinstance(value, bool), "true or false"
            elif self.attribute == _NUMBERS:
                right, kind = _is_number(value), "numbers"
            elif self.attribute in _TEXTS:
                right, kind = isinstance(value, str), "texts"
            else:
                right, kind = isinstance(value, str | bool) or _is_number(value), "texts, numbers, true or false"
            if not right:
                raise ValueError(f"`{name}` must be {kind} for {self.attribute}")
            if _is_number(value):
                money.number(name, Decimal(value), -_MOST, _MOST)
            elif isinstance(value, str) and ("\0" in value or len(value) > _LONGEST):
                raise ValueError(f"`{name}` must have texts of at most {_LONGEST} characters, without NUL")


def specificity(conditions: Iterable[Condition]) -> int:
    """The number of distinct attributes in the conditions."""
    return len({condition.attribute for condition in conditions})


def reader(attribute: str) -> Reader:
    """A function that returns the values of the attribute in a query: none where the query lacks it."""
    if attribute == "user_location":
        return lambda query: () if query.user_location is None else (location_key(query.user_location),)
    if attribute == "customer_groups":
        return attrgetter(attribute)
    if attribute.startswith("attributes."):
        name = attribute.partition(".")[2]
        return lambda query: _values(query.attributes.get(name))
    if attribute == "channel":
        return lambda query: () if query.channel is None else (query.channel,)
    read = attrgetter(attribute)
    if attribute in _TEXTS:
        return lambda query: () if (value := read(query)) is None else (value,)
    return lambda query: _values(read(query))


def keys(condition: Condition) -> frozenset[Key] | None:
    """The values of which the attribute must have one; None where the condition names no values."""
    if condition.eq is None and condition.in_ is None:
        return None
    named = [_keys(condition.attribute, values) for values in (condition._eq, condition.in_) if values is not None]
    return frozenset.intersection(*named)


def predicate(condition: Condition) -> Predicate:
    """The condition as a function of the query."""
    read, wanted = reader(condition.attribute), keys(condition)
    if wanted is not None and is_of_keys_alone(condition):
        return _one_of(condition.attribute, wanted)
    orderings = [
        (compare, bound) for name, compare in _ORDERINGS.items() if (bound := getattr(condition, name)) is not None
    ]
    if condition.attribute == _NUMBERS and wanted is None and condition.not_in is None and len(orderings) == 1:
        ((compare, exact_bound),) = orderings
        # Python compares whole numbers with one another in a third of the time.
        bound = int(exact_bound) if exact_bound == int(exact_bound) else exact_bound
        return lambda query: compare(query.quantity if type(query.quantity) is int else exact(query.quantity), bound)
    tests: list[Callable[[tuple[Key, ...]], bool]] = []
    if wanted is not None:
        tests.append(lambda values: not wanted.isdisjoint(values))
    if condition.not_in is not None:
        excluded = _keys(condition.attribute, condition.not_in)
        tests.append(excluded.isdisjoint)
    tests += [_ordering(compare, bound) for compare, bound in orderings]
    if len(tests) == 1:
        (only,) = tests
        return lambda query: only(read(query))
    return lambda query: all(test(read(query)) for test in tests)


def is_of_keys_alone(condition: Condition) -> bool:
    """Whether the attribute must have one of some values, and the condition asks for nothing else."""
    others = (condition.not_in, *(getattr(condition, name) for name in _ORDERINGS))
    return keys(condition) is not None and all(other is None for other in others)


def _one_of(attribute: str, wanted: frozenset[Key]) -> Predicate:
    """Whether the attribute has one of these values; the kinds of attributes that most conditions name come first."""
    if attribute == "customer_groups":
        return lambda query: not wanted.isdisjoint(query.customer_groups)
    if attribute == "user_location":
        return lambda query: query.user_location is not None and location_key(query.user_location) in wanted
    if attribute in _TEXTS:
        get = attrgetter(attribute)
        return lambda query: get(query) in wanted
    read = reader(attribute)
    return lambda query: not wanted.isdisjoint(read(query))


def _ordering(compare: Callable[[Any, Any], bool], bound: Decimal) -> Callable[[tuple[Key, ...]], bool]:
    return lambda values: any(_is_number(value) and compare(value, bound) for value in values)


def _keys(attribute: str, values: Iterable[Any]) -> frozenset[Key]:
    if attribute == "user_location":
        return frozenset(location_key(value) for value in values)
    return frozenset(key for value in values for key in _values(value))


def _values(value: Any) -> tuple[Key, ...]:
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(value)
    if isinstance(value, float):
        return (exact(value),)
    # Python takes True for 1, a shop does not.
    return ((value,),) if isinstance(value, bool) else (value,)


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
