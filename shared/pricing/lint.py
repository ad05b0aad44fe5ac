"""Rules that can never apply, found in the rulebook alone: each finding names the part and the reason."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from shared.pricing.conditions import Condition
from shared.pricing.market import location_key
from shared.pricing.query import exact
from shared.pricing.rulebook import AppliesTo, PriceList, Promotion, Rulebook

Code = Literal["expired", "contradiction", "unknown_market", "shadowed", "unknown_name", "no_effect", "no_price"]
# A query has several of these at once: conditions on them do not exclude one another.
_SEVERAL = ("customer_groups", "attributes.")


class Finding(Struct, frozen=True, omit_defaults=True):
    """A rule that has no effect, or a price that is missing.

    Attributes:
        code: The code of the reason.
        part: The part's kind and id, such as `promotion spring`.
        reason: The reason, in words.
        query: A price query that shows it.
    """

    code: Code
    part: str
    reason: str
    query: Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/PriceQuery"})] = {}


def findings(rulebook: Rulebook, markets: Iterable[str], at: datetime) -> Iterator[Finding]:
    """What is wrong with price lists and promotions by themselves and beside one another.

    Args:
        rulebook: A checked rulebook.
        markets: The codes of all markets.
        at: The instant of the check.
    """
    known = {location_key(code) for code in markets}
    every: tuple[PriceList | Promotion, ...] = (*rulebook.price_lists, *rulebook.promotions)
    for part in every:
        name = _name(part)
        if part.closes is not None and part.closes <= at:
            yield Finding("expired", name, f"its window ended at {part.closes.isoformat()}")
        if (attribute := _contradiction(part.conditions)) is not None:
            yield Finding("contradiction", name, f"no query fits its conditions on {attribute}")
        if part.conditions and (unknown := _unknown_markets(part.conditions, known)):
            yield Finding("unknown_market", name, f"no such market: {', '.join(unknown)}")
    yield from _shadowed(rulebook.promotions)


def _name(part: PriceList | Promotion) -> str:
    return f"{'price_list' if isinstance(part, PriceList) else 'promotion'} {part.id}"


def _contradiction(conditions: Sequence[Condition]) -> str | None:
    """The first attribute whose conditions exclude one another."""
    for attribute in dict.fromkeys(condition.attribute for condition in conditions):
        if attribute.startswith(_SEVERAL):
            continue
        own = [condition for condition in conditions if condition.attribute == attribute]
        allowed = [found for condition in own if (found := _allowed(condition)) is not None]
        if not allowed:
            if not _is_range(own):
                return attribute
            continue
        left = frozenset.intersection(*allowed)
        left -= {_key(attribute, value) for condition in own for value in condition.not_in or ()}
        if not any(_is_inside(value, own) for value in left):
            return attribute
    return None


def _allowed(condition: Condition) -> frozenset[Any] | None:
    """The values that a condition names; None: it names none."""
    named = []
    if condition.eq is not None:
        named.append(frozenset(_key(condition.attribute, value) for value in _values(condition.eq)))
    if condition.in_ is not None:
        named.append(frozenset(_key(condition.attribute, value) for value in condition.in_))
    return frozenset.intersection(*named) if named else None


def _values(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _key(attribute: str, value: Any) -> Any:
    return location_key(value) if attribute == "user_location" and isinstance(value, str) else value


def _is_range(conditions: Sequence[Condition]) -> bool:
    """Whether a number fits all limits."""
    lows = [limit for each in conditions for limit in (each.gt, each.gte) if limit is not None]
    highs = [limit for each in conditions for limit in (each.lt, each.lte) if limit is not None]
    if not lows or not highs:
        return True
    low, high = max(lows), min(highs)
    is_open = any(each.gt == low or each.lt == high for each in conditions)
    return low < high or (low == high and not is_open)


def _is_inside(value: Any, conditions: Sequence[Condition]) -> bool:
    """Whether a value fits the limits, where it is a number."""
    if isinstance(value, str | bool):
        return True
    number = exact(value)
    return all(
        (each.gt is None or number > each.gt)
        and (each.gte is None or number >= each.gte)
        and (each.lt is None or number < each.lt)
        and (each.lte is None or number <= each.lte)
        for each in conditions
    )


def _unknown_markets(conditions: Sequence[Condition], known: set[str]) -> list[str]:
    named = [
        value
        for condition in conditions
        if condition.attribute == "user_location"
        for value in (*_values(condition.eq), *(condition.in_ or ()))
        if isinstance(value, str)
    ]
    return sorted({value for value in named if location_key(value) not in known})


def _shadowed(promotions: Sequence[Promotion]) -> Iterator[Finding]:
    """Promotions that never apply because an exclusive one for every query always comes before them."""
    strong = [each for each in promotions if each.exclusive and not each.conditions]
    for part in promotions:
        for other in strong:
            if other.priority > part.priority and _covers(other, part):
                reason = f"promotion {other.id} is exclusive, has a higher priority, and always applies with it"
                yield Finding("shadowed", _name(part), reason)
                break


def _covers(other: Promotion, part: Promotion) -> bool:
    """Whether the other promotion is open whenever this one is, for all of its products."""
    begins = other.opens is None or (part.opens is not None and other.opens <= part.opens)
    ends = other.closes is None or (part.closes is not None and other.closes >= part.closes)
    return begins and ends and _reaches(other.applies_to, part.applies_to)


def _reaches(other: AppliesTo | None, part: AppliesTo | None) -> bool:
    if other is None:
        return True
    if part is None:
        return False
    return all(
        set(getattr(part, name) or ()) <= set(getattr(other, name) or ()) for name in AppliesTo.__struct_fields__
    )
