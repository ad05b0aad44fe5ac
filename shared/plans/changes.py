"""The changes that a plan proposes: each is one part, whole, or a deletion."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from shared.access.scopes import Scope
from shared.catalogue.staged_imports import IMPORT_ID
from shared.errors import InvalidInput
from shared.pricing import money
from shared.pricing.entries import EntryWrite
from shared.pricing.product import ProductId, ProductInput
from shared.pricing.rulebook import MarketRules, Name, PartId, PriceList, Promotion, RulebookPolicy
from shared.rulebook import documents, exchange_rates
from shared.rulebook.exchange_rates import NewRate
from shared.wire import instants
from shared.wire.fields import AT

MOST_CHANGES = 1_000
POLICY = {
    "max_over_list": "1.5",
    "min_margin": "0.1",
    "strategies": {"list_price": {}},
    "default_strategy": "list_price",
}


class MarketChange(MarketRules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market, whole, without its multiplier."""

    code: Annotated[Name, Meta(description="Its code, as in `user_location`.", examples=["NY"])]


class EntriesChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries of a price list; those of a product (and customer) replace those that it has in the list."""

    list: Annotated[PartId, Meta(description="The list's id.", examples=["wholesale"])]
    entries: Annotated[
        tuple[EntryWrite, ...],
        Meta(
            min_length=1,
            max_length=10_000,
            description="The entries.",
            examples=[[{"product_id": "P-100", "amount": "39.90"}]],
        ),
    ]


class MultiplierChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market's multiplier."""

    market: Annotated[Name, Meta(description="The market's code.", examples=["NY"])]
    multiplier: Annotated[
        Decimal, Meta(description="On every published price there, in [0.01, 100].", examples=["1.10"])
    ]

    def __post_init__(self) -> None:
        money.multiplier("multiplier", self.multiplier)


class RateChange(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}
):
    """An exchange rate: one unit of `from` is `rate` units of `to`."""

    source: Annotated[str, Meta(description="A currency, ISO 4217.", examples=["USD"])]
    target: Annotated[str, Meta(description="Another currency.", examples=["EUR"])]
    rate: Annotated[Decimal, Meta(description="Units of `to` for one of `from`.", examples=["0.92"])]

    def __post_init__(self) -> None:
        try:
            exchange_rates.check([NewRate(self.source, self.target, self.rate)])
        except InvalidInput as error:
            raise ValueError(f"`{error.path.rpartition('.')[2]}` {error.reason}") from None


class ManualPriceChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price of a product, in its currency, in place of the rules' one."""

    product_id: ProductId
    price: Annotated[Decimal, Meta(description="The published price.", examples=["39.90"])]
    reason: Annotated[str, Meta(min_length=1, max_length=500, description="The reason.", examples=["a clearance"])]
    until: Annotated[
        Annotated[datetime, Meta(tz=True)] | None, Meta(description="Its end; null: none.", examples=[AT])
    ] = None
    below_floor: Annotated[bool, Meta(description="Whether it may be below the floor.", examples=[False])] = False

    def __post_init__(self) -> None:
        instants.check("until", self.until)


class RatePair(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}
):
    """An exchange rate by its currencies."""

    source: Annotated[str, Meta(description="A currency, ISO 4217.", examples=["USD"])]
    target: Annotated[str, Meta(description="Another currency.", examples=["EUR"])]


class Deletion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The name of what is deleted: exactly one."""

    market: Annotated[Name | None, Meta(description="A market and its multiplier.", examples=["NY"])] = None
    price_list: Annotated[PartId | None, Meta(description="A price list.", examples=["wholesale"])] = None
    promotion: Annotated[PartId | None, Meta(description="A promotion.", examples=["spring"])] = None
    manual_price: Annotated[
        ProductId | None, Meta(description="The manual price of a product.", examples=["P-100"])
    ] = None
    product: Annotated[
        ProductId | None, Meta(description="A product, with its signals and entries.", examples=["P-100"])
    ] = None
    multiplier: Annotated[Name | None, Meta(description="The multiplier of a market.", examples=["NY"])] = None
    exchange_rate: Annotated[
        RatePair | None, Meta(description="An exchange rate.", examples=[{"from": "USD", "to": "EUR"}])
    ] = None

    def __post_init__(self) -> None:
        _only_one(self)


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One change: exactly one of these."""

    policy: Annotated[RulebookPolicy | None, Meta(description="The policy.", examples=[POLICY])] = None
    market: Annotated[MarketChange | None, Meta(description="A market.", examples=[{"code": "NY"}])] = None
    price_list: Annotated[
        PriceList | None, Meta(description="A price list's header.", examples=[{"id": "sale", "kind": "sale"}])
    ] = None
    entries: Annotated[
        EntriesChange | None,
        Meta(
            description="Entries of a price list.",
            examples=[{"list": "sale", "entries": [{"product_id": "P-100", "amount": "39.90"}]}],
        ),
    ] = None
    promotion: Annotated[
        Promotion | None, Meta(description="A promotion.", examples=[{"id": "spring", "percent": "20"}])
    ] = None
    multiplier: Annotated[
        MultiplierChange | None,
        Meta(description="A market's multiplier.", examples=[{"market": "NY", "multiplier": "1.10"}]),
    ] = None
    exchange_rate: Annotated[
        RateChange | None,
        Meta(description="An exchange rate.", examples=[{"from": "USD", "to": "EUR", "rate": "0.92"}]),
    ] = None
    product: Annotated[
        ProductInput | None,
        Meta(
            description="A product, new or existing.",
            examples=[{"product_id": "P-100", "name": "Kettle", "currency": "USD", "base_price": "49.90"}],
        ),
    ] = None
    manual_price: Annotated[
        ManualPriceChange | None,
        Meta(
            description="A manual price.",
            examples=[{"product_id": "P-100", "price": "39.90", "reason": "a clearance"}],
        ),
    ] = None
    import_: Annotated[UUID | None, Meta(description="A staged import, by its id.", examples=[IMPORT_ID])] = (
        msgspec.field(default=None, name="import")
    )
    delete: Annotated[Deletion | None, Meta(description="A deletion.", examples=[{"promotion": "spring"}])] = None

    def __post_init__(self) -> None:
        _only_one(self)

    @property
    def kind(self) -> str:
        """The name of the field that is given, on the wire."""
        return next(_given(self)).rstrip("_")

    @property
    def scope(self) -> Scope:
        """The scope that the same change needs as a direct write."""
        gone = None if self.delete is None else self.delete.manual_price or self.delete.product
        is_of_product = any(one is not None for one in (self.product, self.manual_price, self.import_, gone))
        return "catalogue:write" if is_of_product else "rules:write"


Changes = Annotated[
    tuple[Change, ...],
    Meta(
        min_length=1,
        max_length=MOST_CHANGES,
        description="The changes, in their order; each part is whole.",
        examples=[[{"promotion": {"id": "spring", "percent": "20"}}]],
    ),
]


def encoded(changes: Sequence[Change]) -> str:
    """The changes in JSON, as they are stored; the numbers of conditions keep their types."""
    return documents.NUMBERS.encode([_builtins(change) for change in changes]).decode()


def decoded(document: str) -> tuple[Change, ...]:
    """Stored changes."""
    return msgspec.json.Decoder(tuple[Change, ...], float_hook=Decimal).decode(document)


def _builtins(change: Change) -> dict[str, Any]:
    if change.import_ is not None:
        return {"import": str(change.import_)}
    return {change.kind: documents.builtins(getattr(change, change.kind))}


def _given(struct: Struct) -> Iterator[str]:
    return (name for name in struct.__struct_fields__ if getattr(struct, name) is not None)


def _only_one(struct: Struct) -> None:
    given = list(_given(struct))
    if len(given) != 1:
        names = struct.__struct_encode_fields__
        first = given[1].rstrip("_") if given else names[0]
        raise ValueError(f"`{first}` must be the only one: give exactly one of {', '.join(names)}")
