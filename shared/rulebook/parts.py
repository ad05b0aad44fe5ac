"""The parts of a rulebook: the policy, markets, price lists and promotions, each written by itself."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar

from msgspec.structs import replace

from shared.catalogue import former_entries, price_lists
from shared.errors import InvalidInput, NotFound, StillInUse
from shared.postgres.pools import Conn
from shared.pricing.market import DEFAULT_MARKET_CODE, location_key
from shared.pricing.policy import Policy
from shared.pricing.rulebook import MarketRules, OfList, PriceList, Promotion, Rulebook, RulebookPolicy
from shared.rulebook import documents, store
from shared.rulebook.store import RulebookVersion
from shared.rulebook.values import By

Kind = Literal["policy", "market", "price_list", "promotion"]
P = TypeVar("P", PriceList, Promotion)
Part = RulebookPolicy | MarketRules | PriceList | Promotion

KINDS: dict[Kind, type[Part]] = {
    "policy": RulebookPolicy,
    "market": MarketRules,
    "price_list": PriceList,
    "promotion": Promotion,
}


class PartName(NamedTuple):
    """A part by its kind, and its code or id; the policy has none."""

    kind: Kind
    key: str = ""

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.key}".rstrip()


def find(rulebook: Rulebook, name: PartName) -> Part | None:
    """A part as it is; None: there is none of this name."""
    match name.kind:
        case "policy":
            return rulebook.policy
        case "market":
            return rulebook.markets.get(spelled(rulebook, name).key)
        case "price_list":
            return next((part for part in rulebook.price_lists if part.id == name.key), None)
        case "promotion":
            return next((part for part in rulebook.promotions if part.id == name.key), None)


def spelled(rulebook: Rulebook, name: PartName) -> PartName:
    """The name as the rulebook has it: codes of markets are compared without case and outer blanks."""
    if name.kind != "market":
        return name
    key = location_key(name.key)
    return PartName("market", next((code for code in rulebook.markets if location_key(code) == key), name.key))


def put(conn: Conn, held: RulebookVersion, name: PartName, part: Part, by: By) -> RulebookVersion:
    """Insert or replace a part of the locked rulebook (`store.locked`).

    Raises:
        InvalidInput: the part contradicts itself or another one; the path is one within the part.
    """
    if isinstance(part, PriceList):
        (part,) = _with_revisions(conn, held.rulebook, [part])
    name = spelled(held.rulebook, name)
    revised = _with(held.rulebook, part, name.key)
    try:
        return store.revise(conn, held, revised, by)
    except InvalidInput as error:
        raise _within(error, revised, name) from None


def drop(conn: Conn, held: RulebookVersion, name: PartName, by: By) -> RulebookVersion:
    """Delete a part of the locked rulebook (`store.locked`).

    Raises:
        NotFound: there is no such part.
        StillInUse: another part refers to it.
    """
    made = store.revise(conn, held, without_part(held.rulebook, name), by)
    _end_revisions(conn, held.rulebook, made.rulebook)
    return made


def with_part(rulebook: Rulebook, name: PartName, part: Part) -> Rulebook:
    """A rulebook with a part inserted or replaced, written nowhere.

    Raises:
        InvalidInput: as `put`.
    """
    name = spelled(rulebook, name)
    if isinstance(part, PriceList):
        held = find(rulebook, name)
        part = replace(part, revision=held.revision if isinstance(held, PriceList) else 0)
    revised = _with(rulebook, part, name.key)
    try:
        return documents.checked(revised)
    except InvalidInput as error:
        raise _within(error, revised, name) from None


def without_part(rulebook: Rulebook, name: PartName) -> Rulebook:
    """A rulebook without a part, written nowhere.

    Raises:
        NotFound: as `drop`.
        StillInUse: as `drop`.
    """
    name = spelled(rulebook, name)
    if name.kind == "policy" or find(rulebook, name) is None:
        raise NotFound(f"no {name} in the rulebook")
    if users := list(_users(rulebook, name)):
        raise StillInUse(f"{name} is still in use: {', '.join(users[:5])}; change that first")
    return _without(rulebook, name)


def put_all(conn: Conn, held: RulebookVersion, document: Rulebook, by: By) -> RulebookVersion:
    """Replace the locked rulebook as a whole.

    Raises:
        InvalidInput: its parts contradict each other.
    """
    lists = _with_revisions(conn, held.rulebook, document.price_lists)
    made = store.revise(conn, held, replace(document, price_lists=lists), by)
    _end_revisions(conn, held.rulebook, made.rulebook)
    return made


def moves_published_prices(before: RulebookPolicy, after: RulebookPolicy) -> bool:
    """Whether published prices or their sheets may differ, so that they are to be decided anew."""
    if before.convert != after.convert:  # competitors' offers in other currencies count, or do not
        return True
    return any(getattr(before, field) != getattr(after, field) for field in Policy.__struct_fields__)


def _with_revisions(conn: Conn, rulebook: Rulebook, lists: Sequence[PriceList]) -> tuple[PriceList, ...]:
    """The lists with the revisions of their entries, which no person writes.

    A list with the id of a deleted one has none of its entries.
    """
    held = {part.id: part.revision for part in rulebook.price_lists}
    new = {part.id: price_lists.new_list(conn, part.id) for part in lists if part.id not in held}
    revisions = held | new
    return tuple(replace(part, revision=revisions[part.id]) for part in lists)


def _end_revisions(conn: Conn, before: Rulebook, after: Rulebook) -> None:
    """No entry of a deleted list counts any more; those in force are kept for a week."""
    left = {part.id for part in after.price_lists}
    for part in before.price_lists:
        if part.id not in left:
            revision = price_lists.next_revision(conn, part.id, part.revision)
            former_entries.note(conn, part.id, part.revision, revision, None, None)
            price_lists.note_in_force(conn, part.id, revision)


def _with(rulebook: Rulebook, part: Part, key: str) -> Rulebook:
    match part:
        case RulebookPolicy():
            return replace(rulebook, policy=part)
        case MarketRules():
            return replace(rulebook, markets={**rulebook.markets, key: part})
        case PriceList():
            return replace(rulebook, price_lists=_placed(rulebook.price_lists, part))
        case Promotion():
            return replace(rulebook, promotions=_placed(rulebook.promotions, part))


def _placed(parts: tuple[P, ...], part: P) -> tuple[P, ...]:
    """The parts with this one in the place of its predecessor, else at the end."""
    placed = [part if other.id == part.id else other for other in parts]
    if not any(other is part for other in placed):
        placed.append(part)
    return tuple(placed)


def _without(rulebook: Rulebook, name: PartName) -> Rulebook:
    markets = {code: rules for code, rules in rulebook.markets.items() if (name.kind, name.key) != ("market", code)}
    lists = tuple(part for part in rulebook.price_lists if (name.kind, name.key) != ("price_list", part.id))
    promotions = tuple(part for part in rulebook.promotions if (name.kind, name.key) != ("promotion", part.id))
    return replace(rulebook, markets=markets, price_lists=lists, promotions=promotions)


def _users(rulebook: Rulebook, name: PartName) -> Iterator[str]:
    """The parts that refer to a part."""
    if name.kind == "price_list":
        for part in rulebook.price_lists:
            formula = part.adjustment
            if formula is not None and isinstance(formula.of, OfList) and formula.of.list == name.key:
                yield f"the adjustment of price list {part.id}"
    if name.kind == "market":
        key = location_key(name.key)
        if key == location_key(DEFAULT_MARKET_CODE):
            yield "queries without a known location"
        if key == location_key(rulebook.policy.home_market):
            yield "home_market of the policy"
        for kind, parts in (("price list", rulebook.price_lists), ("promotion", rulebook.promotions)):
            yield from (f"a condition of {kind} {part.id}" for part in parts if _is_for(part, key))


def _is_for(part: PriceList | Promotion, key: str) -> bool:
    """Whether a condition names the market."""
    found = [condition for condition in part.conditions if condition.attribute == "user_location"]
    named = [value for each in found for value in (each.eq, *(each.in_ or ()), *(each.not_in or ()))]
    return any(value is not None and location_key(value) == key for value in named)


def _within(error: InvalidInput, rulebook: Rulebook, name: PartName) -> InvalidInput:
    """The error with a path within the part; a fault that shows in another part names that one."""
    places = {
        "policy": "$.policy",
        "market": f"$.markets.{name.key}",
        "price_list": f"$.price_lists[{_index((part.id for part in rulebook.price_lists), name.key)}]",
        "promotion": f"$.promotions[{_index((part.id for part in rulebook.promotions), name.key)}]",
    }
    place = places[name.kind]
    if error.path == place or error.path.startswith((f"{place}.", f"{place}[")):
        return InvalidInput(error.reason, f"${error.path.removeprefix(place)}")
    if error.path == "$":
        return error
    return InvalidInput(f"with it, `{error.path}` of the rulebook {error.reason}")


def _index(ids: Iterable[str], key: str) -> int:
    return next((index for index, each in enumerate(ids) if each == key), -1)
