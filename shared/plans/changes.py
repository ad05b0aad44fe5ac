"""The changes that a plan proposes: each is one part, whole, or a deletion."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from shared.access.scopes import Scope
from shared.errors import InvalidInput, NotFound, StillInUse
from shared.pricing import money
from shared.pricing.product import ProductId, ProductInput
from shared.pricing.rulebook import MarketRules, Name, PartId, PriceList, Promotion, Rulebook, RulebookPolicy
from shared.pricing.state import ManualPrice
from shared.rulebook import documents, exchange_rates, parts
from shared.rulebook.exchange_rates import NewRate
from shared.rulebook.parts import Part, PartName
from shared.rulebook.values import NewValue

MOST_CHANGES = 1_000


class MarketChange(MarketRules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market, whole.

    Attributes:
        code: Its code, as in `user_location`.
    """

    code: Name


class MultiplierChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market's multiplier, in [0.01, 100]."""

    market: Name
    multiplier: Decimal

    def __post_init__(self) -> None:
        money.multiplier("multiplier", self.multiplier)


class RateChange(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}
):
    """An exchange rate: one unit of `from` is `rate` units of `to`."""

    source: str
    target: str
    rate: Decimal

    def __post_init__(self) -> None:
        try:
            exchange_rates.check([NewRate(self.source, self.target, self.rate)])
        except InvalidInput as error:
            raise ValueError(f"`{error.path.rpartition('.')[2]}` {error.reason}") from None


class ManualPriceChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price of a product, in its currency, in place of the rules' one."""

    product_id: ProductId
    price: Decimal
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    until: Annotated[datetime, Meta(tz=True)] | None = None
    below_floor: bool = False


class Deletion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The name of what is deleted: exactly one."""

    market: Name | None = None
    price_list: PartId | None = None
    promotion: PartId | None = None
    manual_price: ProductId | None = None

    def __post_init__(self) -> None:
        _only_one(self)


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One change: exactly one of these."""

    policy: RulebookPolicy | None = None
    market: MarketChange | None = None
    price_list: PriceList | None = None
    promotion: Promotion | None = None
    multiplier: MultiplierChange | None = None
    exchange_rate: RateChange | None = None
    product: ProductInput | None = None
    manual_price: ManualPriceChange | None = None
    delete: Deletion | None = None

    def __post_init__(self) -> None:
        _only_one(self)

    @property
    def kind(self) -> str:
        """The name of the field that is given."""
        return next(_given(self))

    @property
    def scope(self) -> Scope:
        """The scope that the same change needs as a direct write."""
        of_product = self.product, self.manual_price, self.delete and self.delete.manual_price
        return "rules:write" if of_product == (None, None, None) else "catalogue:write"


Changes = Annotated[
    tuple[Change, ...],
    Meta(min_length=1, max_length=MOST_CHANGES, description="The changes, in their order; each part is whole."),
]


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
    return found


def rates_of(changes: Sequence[Change]) -> list[NewRate]:
    """The exchange rates among them."""
    rates = [change.exchange_rate for change in changes if change.exchange_rate is not None]
    return [NewRate(rate.source, rate.target, rate.rate) for rate in rates]


def encoded(changes: Sequence[Change]) -> str:
    """The changes in JSON, as they are stored; the numbers of conditions keep their types."""
    return documents.NUMBERS.encode([_builtins(change) for change in changes]).decode()


def decoded(document: str) -> tuple[Change, ...]:
    """Stored changes."""
    return msgspec.json.Decoder(tuple[Change, ...], float_hook=Decimal).decode(document)


def _builtins(change: Change) -> dict[str, Any]:
    return {change.kind: documents.builtins(getattr(change, change.kind))}


def _given(struct: Struct) -> Iterator[str]:
    return (name for name in struct.__struct_fields__ if getattr(struct, name) is not None)


def _only_one(struct: Struct) -> None:
    given = list(_given(struct))
    if len(given) != 1:
        first = given[1] if given else struct.__struct_fields__[0]
        raise ValueError(f"`{first}` must be the only one: give exactly one of {', '.join(struct.__struct_fields__)}")
