"""What the changes of a plan write, sorted by its place: the rulebook, market values, products, entries of lists."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from shared.errors import InvalidInput, NotFound, StillInUse
from shared.plans.changes import Change, Deletion, MarketChange, MultiplierChange, RateChange, RatePair
from shared.pricing.entries import EntryWrite
from shared.pricing.product import ProductInput
from shared.pricing.rulebook import MarketRules, PriceList, Promotion, Rulebook, RulebookPolicy
from shared.pricing.state import ManualPrice
from shared.rulebook import parts
from shared.rulebook.exchange_rates import NewRate
from shared.rulebook.parts import Part, PartName
from shared.rulebook.values import Kind, NewValue

# The entries that a plan writes: list → product → its entries.
Entries = dict[str, dict[str, list[EntryWrite]]]


class RulebookChange(NamedTuple):
    """A part of the rulebook that a change writes; None: it deletes it."""

    name: PartName
    part: Part | None


def of_rulebook(change: Change) -> RulebookChange | None:
    """What a change does to the rulebook; None: nothing."""
    if change.policy is not None:
        return RulebookChange(PartName("policy"), change.policy)
    if (market := change.market) is not None:
        rules = MarketRules(**{name: getattr(market, name) for name in MarketRules.__struct_fields__})
        return RulebookChange(PartName("market", market.code), rules)
    if change.price_list is not None:
        return RulebookChange(PartName("price_list", change.price_list.id), change.price_list)
    if change.promotion is not None:
        return RulebookChange(PartName("promotion", change.promotion.id), change.promotion)
    if (gone := change.delete) is not None:
        if gone.market is not None:
            return RulebookChange(PartName("market", gone.market), None)
        if gone.price_list is not None:
            return RulebookChange(PartName("price_list", gone.price_list), None)
        if gone.promotion is not None:
            return RulebookChange(PartName("promotion", gone.promotion), None)
    return None


def revised(rulebook: Rulebook, changes: Sequence[Change]) -> Rulebook:
    """The rulebook after the changes, written nowhere.

    Raises:
        InvalidInput: a change contradicts itself or the others; the path leads into the change.
    """
    for index, change in enumerate(changes):
        if (written := of_rulebook(change)) is None:
            continue
        place = f"$.changes[{index}].{change.kind}"
        try:
            if written.part is None:
                rulebook = parts.without_part(rulebook, written.name)
            else:
                rulebook = parts.with_part(rulebook, written.name, written.part)
        except InvalidInput as error:
            raise InvalidInput(error.reason, f"{place}{error.path.removeprefix('$')}") from None
        except (NotFound, StillInUse) as error:
            raise InvalidInput(str(error), f"{place}.{written.name.kind}") from None
    return rulebook


def products_of(changes: Sequence[Change]) -> dict[str, ProductInput]:
    """The products that changes write, by id; of two of one product the later one."""
    return {each.product.product_id: each.product for each in changes if each.product is not None}


def imports_of(changes: Sequence[Change]) -> tuple[UUID, ...]:
    """The staged imports that changes name, each once."""
    return tuple(dict.fromkeys(change.import_ for change in changes if change.import_ is not None))


def deleted_of(changes: Sequence[Change]) -> frozenset[str]:
    """The products that changes delete."""
    gone = [change.delete.product for change in changes if change.delete is not None]
    return frozenset(product_id for product_id in gone if product_id is not None)


def manual_prices_of(changes: Sequence[Change]) -> dict[str, ManualPrice | None]:
    """The manual prices that changes set, by product; None: they end it."""
    found: dict[str, ManualPrice | None] = {}
    for change in changes:
        if (manual := change.manual_price) is not None:
            fields = {name: getattr(manual, name) for name in ManualPrice.__struct_fields__}
            found[manual.product_id] = ManualPrice(**fields)
        if change.delete is not None and change.delete.manual_price is not None:
            found[change.delete.manual_price] = None
    return found


def values_of(changes: Sequence[Change]) -> list[NewValue]:
    """The market values that changes put in force."""
    found = []
    for change in changes:
        if (of_market := change.multiplier) is not None:
            found.append(NewValue("multiplier", of_market.market, of_market.multiplier))
        if (rate := change.exchange_rate) is not None:
            found.append(NewValue("exchange_rate", f"{rate.source}/{rate.target}", rate.rate))
        if (gone := change.delete) is not None:
            if gone.multiplier is not None:
                found.append(NewValue("multiplier", gone.multiplier, None))
            if (pair := gone.exchange_rate) is not None:
                found.append(NewValue("exchange_rate", f"{pair.source}/{pair.target}", None))
    return found


def value_change(kind: Kind, name: str, value: Decimal | None) -> Change:
    """The change that puts a market value in force; None: it ends it."""
    if kind == "multiplier":
        if value is None:
            return Change(delete=Deletion(multiplier=name))
        return Change(multiplier=MultiplierChange(market=name, multiplier=value))
    source, _, target = name.partition("/")
    if value is None:
        return Change(delete=Deletion(exchange_rate=RatePair(source=source, target=target)))
    return Change(exchange_rate=RateChange(source=source, target=target, rate=value))


def rates_of(changes: Sequence[Change]) -> list[NewRate]:
    """The exchange rates among them."""
    rates = [change.exchange_rate for change in changes if change.exchange_rate is not None]
    return [NewRate(rate.source, rate.target, rate.rate) for rate in rates]


def entries_of(changes: Sequence[Change]) -> Entries:
    """The entries that changes write; those of a product replace those that it has in the list."""
    found: Entries = {}
    for change in changes:
        if (written := change.entries) is not None:
            of_list = found.setdefault(written.list, {})
            of_list |= {entry.product_id: [] for entry in written.entries}
            for entry in written.entries:
                of_list[entry.product_id].append(entry)
    return found


def changes_of(name: PartName, part: Part | None, multiplier: Decimal | None = None) -> list[Change]:
    """A direct write of a part as changes; None: its deletion."""
    found = [] if multiplier is None else [Change(multiplier=MultiplierChange(market=name.key, multiplier=multiplier))]
    match part:
        case RulebookPolicy():
            found.append(Change(policy=part))
        case MarketRules():
            found.append(Change(market=MarketChange(code=name.key, **msgspec.structs.asdict(part))))
        case PriceList():
            found.append(Change(price_list=part))
        case Promotion():
            found.append(Change(promotion=part))
        case None:
            found.append(Change(delete=_deletion(name)))
    return found


def changes_between(before: Rulebook, after: Rulebook) -> list[Change]:
    """A write of a whole rulebook as changes of the parts that differ."""
    changes = changes_of(PartName("policy"), after.policy) if before.policy != after.policy else []
    for name in sorted({*_names(before), *_names(after)}):
        if (part := parts.find(after, name)) != parts.find(before, name):
            changes += changes_of(name, part)
    return changes


def _names(rulebook: Rulebook) -> Iterator[PartName]:
    yield from (PartName("market", code) for code in rulebook.markets)
    yield from (PartName("price_list", part.id) for part in rulebook.price_lists)
    yield from (PartName("promotion", part.id) for part in rulebook.promotions)


def _deletion(name: PartName) -> Deletion:
    match name.kind:
        case "market":
            return Deletion(market=name.key)
        case "price_list":
            return Deletion(price_list=name.key)
    return Deletion(promotion=name.key)
