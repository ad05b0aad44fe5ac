"""The products whose public reductions may begin or end: by a change of the rulebook, and at an edge of a window."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import reduce

from msgspec.structs import replace

from shared.catalogue.product_set import ProductSet
from shared.pricing.conditions import predicate
from shared.pricing.public_price import query_in
from shared.pricing.rulebook import AppliesTo, PriceList, Promotion, Rulebook
from shared.rulebook import parts

Part = PriceList | Promotion
# List and revision → the products that have entries for everybody in it; None: more than can be named.
Entries = Callable[[str, int], Sequence[str] | None]
_EVERYTHING = ProductSet()


def changed(before: Rulebook, after: Rulebook, at: datetime) -> ProductSet | None:
    """The products to be decided anew after a change of the rulebook; None: there are none.

    They are those whose published prices may move, and those that a changed list or promotion reaches that is open at
    the instant. Entries of lists are changed elsewhere.
    """
    if parts.moves_published_prices(before.policy, after.policy):
        return _EVERYTHING
    rules = [*_reducing(before), *_reducing(after)]
    if rules and (before.policy != after.policy or before.markets != after.markets):
        return _EVERYTHING
    one, other = ({_named(part): part for part in _reducing(book)} for book in (before, after))
    differ = [part for name, part in one.items() if not _is_same(part, other.get(name))]
    differ += [part for name, part in other.items() if not _is_same(part, one.get(name))]
    return _united(_reach(part, _unnamed) for part in differ if _is_open(part, at))


def edges(rulebook: Rulebook, since: datetime, until: datetime, entries: Entries) -> dict[datetime, ProductSet]:
    """The instants after `since`, up to `until`, at which public windows open or close, with the products reached.

    Args:
        rulebook: The rulebook in force.
        since: The last instant before.
        until: The last instant.
        entries: Looks up the products of entries.
    """
    found: dict[datetime, list[Part]] = {}
    for part in _reducing(rulebook):
        for edge in (part.opens, part.closes):
            if edge is not None and since < edge <= until:
                found.setdefault(edge, []).append(part)
    sets = {edge: _united(_reach(part, entries) for part in reached) for edge, reached in sorted(found.items())}
    return {edge: products for edge, products in sets.items() if products is not None}


def has_any(rulebook: Rulebook) -> bool:
    """Whether the rulebook has a public promotion or sale list, in force or not."""
    return bool(_reducing(rulebook))


def is_reducing(rulebook: Rulebook, list_id: str) -> bool:
    """Whether entries of the list may begin or end a public reduction."""
    return any(isinstance(part, PriceList) and part.id == list_id for part in _reducing(rulebook))


def _reducing(rulebook: Rulebook) -> list[Part]:
    """The promotions and sale lists for everybody in some market; with one of them, the override lists, too.

    Where automation pauses in promotions, all of these.
    """
    queries = [query_in(market) for market in rulebook.markets]

    def is_public(part: Part) -> bool:
        if rulebook.policy.pause_in_promotion and isinstance(part, Promotion):
            return True
        tests = [predicate(condition) for condition in part.conditions]
        return not tests or any(all(test(query) for test in tests) for query in queries)

    lists = [part for part in rulebook.price_lists if is_public(part)]
    promotions = [part for part in rulebook.promotions if is_public(part)]
    return [*lists, *promotions] if promotions or any(part.kind == "sale" for part in lists) else []


def _named(part: Part) -> tuple[bool, str]:
    return isinstance(part, PriceList), part.id


def _is_same(part: Part, other: Part | None) -> bool:
    """Whether two parts say the same, entries aside."""
    if isinstance(part, PriceList) and isinstance(other, PriceList):
        return replace(part, revision=other.revision) == other
    return part == other


def _is_open(part: Part, at: datetime) -> bool:
    return (part.opens is None or part.opens <= at) and (part.closes is None or at < part.closes)


def _united(sets: Iterable[ProductSet | None]) -> ProductSet | None:
    """The union of sets; None is the empty one."""
    found = [one for one in sets if one is not None]
    return reduce(ProductSet.union, found) if found else None


def _reach(part: Part, entries: Entries) -> ProductSet | None:
    """The products that are reached; None: no product."""
    if isinstance(part, Promotion):
        return _applied(part.applies_to)
    named = entries(part.id, part.revision)
    if named is None:
        return _EVERYTHING
    adjusted = None if part.adjustment is None else _applied(part.adjustment.applies_to)
    return _united([ProductSet(tuple(named)) if named else None, adjusted])


def _applied(applies_to: AppliesTo | None) -> ProductSet:
    """The products to which a rule applies; everything where brands or tags choose them."""
    if applies_to is None or applies_to.brands or applies_to.tags:
        return _EVERYTHING
    return ProductSet(applies_to.products or (), applies_to.categories or ())


def _unnamed(_: str, revision: int) -> Sequence[str] | None:
    """The products of entries that are not looked up."""
    return None if revision else ()
