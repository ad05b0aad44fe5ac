"""The check of a rulebook at its write: what no part can see by itself."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from shared.pricing import choices
from shared.pricing.market import location_key
from shared.pricing.money import plain
from shared.pricing.policy import Policy
from shared.pricing.rulebook import OfList, PriceList, Promotion, Rulebook
from shared.pricing.windows import instant, window

MAX_BYTES = 1_000_000
MAX_DEPTH = 5

_POINTER = re.compile(r"(?P<reason>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_FIELD = re.compile(r"`(?P<name>[^`]+)` ")
_STEPS = re.compile(r"\.([^.\[]+)|\[(\d+)\]").findall
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")

Part = TypeVar("Part", PriceList, Promotion)
T = TypeVar("T")


class RulebookRefused(ValueError):
    """A rulebook that cannot be accepted; the text starts with the path of the field in backticks.

    Attributes:
        path: The first wrong field, as `price_lists[0].conditions[1].attribute`; empty for the whole document.
        reason: The fault and the remedy, in words for people.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"`{path}` {reason}" if path else reason)
        self.path = path
        self.reason = reason


def checked(rulebook: Rulebook) -> Rulebook:
    """The rulebook with the instants of its windows, as it is stored and compiled.

    Raises:
        RulebookRefused: parts contradict each other, a window or a reference is wrong, or the document is too large.
    """
    _unique("price_lists", [part.id for part in rulebook.price_lists])
    _unique("promotions", [part.id for part in rulebook.promotions])
    _check_markets(rulebook)
    _check_adjustments(rulebook.price_lists)
    resolved = replace(
        rulebook,
        price_lists=tuple(_resolved("price_lists", rulebook.price_lists)),
        promotions=tuple(_resolved("promotions", rulebook.promotions)),
    )
    _check_size(resolved)
    return resolved


def read(document: Any) -> Rulebook:
    """The checked rulebook of a decoded JSON document, whose numbers are ints and Decimals.

    Raises:
        RulebookRefused: as `checked`, or a field has the wrong type or value.
    """
    return checked(converted(document, Rulebook))


def converted(document: Any, kind: type[T]) -> T:
    """A rulebook or a part of one from a decoded JSON document, by itself.

    Raises:
        RulebookRefused: a field has the wrong type or value.
    """
    try:
        read = msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        refused = _refused(_named(document, str(error), kind))
        raise RulebookRefused(refused.path, _with_choices(refused, kind)) from None
    _check_size(read)
    if isinstance(read, Rulebook):
        check_strategies(read.policy, "policy.")
    elif isinstance(read, Policy):
        check_strategies(read)
    return read


def check_strategies(policy: Policy, under: str = "") -> None:
    """Refuse strategies whose every price would be a bound. A policy that is stored already stays valid.

    Args:
        policy: A policy that a person wrote.
        under: The path to it in the person's document, with a point at its end.

    Raises:
        RulebookRefused: a strategy's figures are beyond the policy's bounds.
    """
    most, margin = policy.max_over_list, policy.min_margin
    for name, strategy in policy.strategies.items():
        path, rule = f"{under}strategies.{name}", "competitor" if strategy.competitor else "demand"
        first, last = strategy.competitor or strategy.demand, strategy.cost_plus
        if first is not None and first.lowest > most:
            reason = f"must not be above max_over_list, {plain(most)}: every price would be the ceiling"
            raise RulebookRefused(f"{path}.{rule}.lowest", reason)
        if last is not None and last.markup < margin and policy.below_cost != "allow":
            reason = f"must not be below min_margin, {plain(margin)}: every price would be the floor"
            raise RulebookRefused(f"{path}.cost_plus.markup", reason)


def _check_size(read: object) -> None:
    """Refuse what is too large before anything else walks through it."""
    size = len(msgspec.json.encode(read))
    if size > MAX_BYTES:
        raise RulebookRefused("", f"the rulebook has {size} bytes; at most {MAX_BYTES} are allowed: take parts out")


def _refused(text: str, under: str = "") -> RulebookRefused:
    match = _POINTER.fullmatch(text)
    reason, path = (match["reason"], under + (match["path"] or "")) if match else (text, under)
    if field := _FIELD.match(reason):
        path, reason = f"{path}.{field['name']}", reason[field.end() :]
    elif field := _UNKNOWN.search(reason):
        path = f"{path}.{field['name']}"
    return RulebookRefused(path.lstrip("."), reason)


def _with_choices(refused: RulebookRefused, kind: Any) -> str:
    """The reason with the values or fields that are allowed there."""
    words = refused.reason
    if words.startswith("Invalid enum value"):
        found = choices.of(kind, refused.path)
    elif "unknown field" in words:
        found = choices.of(kind, refused.path.rpartition(".")[0])
    else:
        return words
    return f"{words}; use one of {', '.join(found)}" if found else words


def _named(document: Any, text: str, kind: Any) -> str:
    """The error with keys in place of `[...]`, as msgspec writes it for any value of a map."""
    pieces = text[text.rfind("`$") + 2 :].split("[...]")
    way: list[str | int] = []
    marker = path = "`$"
    for piece in pieces[:-1]:
        way += [int(index) if index else name for name, index in _STEPS(piece)]
        marker += f"{piece}[...]"
        keys = list(_inside(document, way))
        while len(keys) > 1:  # halved until the one key is left whose value alone is refused
            half = keys[: len(keys) // 2]
            keys = half if marker in _fault(_only(document, way, half), kind) else keys[len(half) :]
        document = _only(document, way, keys)
        way += keys
        path += ".".join([piece, *keys])
    return text if len(pieces) == 1 else f"{text[: text.rfind('`$')]}{path}{pieces[-1]}"


def _fault(document: Any, kind: Any) -> str:
    try:
        msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _inside(document: Any, way: Sequence[str | int]) -> Any:
    for step in way:
        document = document[step]
    return document


def _only(document: Any, way: Sequence[str | int], keys: Sequence[str]) -> Any:
    """The document in which the map at the end of `way` has these keys only."""
    if not way:
        return {key: document[key] for key in keys}
    inside = _only(document[way[0]], way[1:], keys)
    if isinstance(document, list):
        return [inside if index == way[0] else each for index, each in enumerate(document)]
    return {**document, way[0]: inside}


def _unique(field: str, ids: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(ids):
        if name in seen:
            raise RulebookRefused(
                f"{field}[{index}].id", f"must be unique; {name} is also the id of {field}[{seen[name]}]"
            )
        seen[name] = index


def _check_markets(rulebook: Rulebook) -> None:
    seen: dict[str, str] = {}
    for code, market in rulebook.markets.items():
        key = location_key(code)
        if key in seen or code != code.strip():
            raise RulebookRefused(
                f"markets.{code}", f"must differ from {seen.get(key, code)!r} by more than case and blanks"
            )
        seen[key] = code
        try:
            instant(None, market.zone, "from")
        except ValueError as error:
            raise _refused(str(error), f"markets.{code}") from None
    home = rulebook.policy.home_market
    if location_key(home) not in seen and home != "DEFAULT":
        raise RulebookRefused("policy.home_market", f"must be one of the markets; there is no market {home}")


def _resolved(field: str, parts: Iterable[Part]) -> Iterator[Part]:
    for index, part in enumerate(parts):
        try:
            opens, closes = window(part)
        except ValueError as error:
            raise _refused(str(error), f"{field}[{index}]") from None
        yield replace(part, opens=opens, closes=closes)


def _check_adjustments(lists: Sequence[PriceList]) -> None:
    by_id = {part.id: part for part in lists}
    for index, part in enumerate(lists):
        path = f"price_lists[{index}].adjustment.of.list"
        chain, last = [part.id], part
        while (base := _base(last)) is not None:
            if base not in by_id:
                raise RulebookRefused(path, f"must be the id of a price list; there is no list {base}")
            chain.append(base)
            if chain.count(base) > 1:
                raise RulebookRefused(path, f"must not lead back to its own list: {' → '.join(chain)}")
            if len(chain) > MAX_DEPTH + 1:
                raise RulebookRefused(path, f"must lead through at most {MAX_DEPTH} lists: {' → '.join(chain)}")
            last = by_id[base]


def _base(part: PriceList) -> str | None:
    if part.adjustment is None or not isinstance(part.adjustment.of, OfList):
        return None
    return part.adjustment.of.list
