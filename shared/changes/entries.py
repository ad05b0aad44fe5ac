"""Entries of the log: their stored form, and the events that subscribers receive."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.wire.fields import AT, TaskId, Version

ChangeType = Literal["prices", "rules", "window", "hold", "breaker", "job"]
TYPES: tuple[ChangeType, ...] = get_args(ChangeType)
# Only keys with `operate` see the others.
PUBLIC: frozenset[ChangeType] = frozenset({"prices", "rules", "window"})
# Products of one entry.
MOST_PRODUCTS = 1_000

ChangeId = Annotated[int, Meta(description="Grows by one with each entry, but jumps in a new epoch.", examples=[4711])]
HOLD_ID = "7b0c2c9e-6f5f-4d0e-9a57-2f6f3f0f2a11"


class PriceItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One product of a stored entry of type `prices`."""

    product_id: str
    version: int
    currency: str
    old_price: Decimal | None
    new_price: Decimal | None
    category: str


class ChangedPrice(msgspec.Struct, frozen=True, gc=False):
    """A new version of a product's price sheet. Prices are published ones: before market, quantity and membership."""

    product_id: Annotated[str, Meta(description="The product.", examples=["P-100"])]
    version: Version
    currency: Annotated[str, Meta(description="The currency of both prices.", examples=["EUR"])]
    old_price: Annotated[
        Decimal | None, Meta(description="The price before; null: the product is new.", examples=["49.90"])
    ]
    new_price: Annotated[
        Decimal | None, Meta(description="The price after; null: the product was deleted.", examples=["47.50"])
    ]


class ChangedHold(msgspec.Struct, frozen=True, gc=False):
    """A hold that was opened, or that ended."""

    hold_id: Annotated[UUID, Meta(description="The hold.", examples=[HOLD_ID])]
    product_id: Annotated[str, Meta(description="The product.", examples=["P-100"])]
    status: Annotated[
        str, Meta(description="open; or its end: approved, refused, expired, replaced.", examples=["open"])
    ]
    code: Annotated[str, Meta(description="hold_above, below_cost or breaker.", examples=["hold_above"])]
    currency: Annotated[str, Meta(description="The currency of both amounts.", examples=["EUR"])]
    price: Annotated[Decimal, Meta(description="The published price, which stays.", examples=["50.00"])]
    target: Annotated[Decimal, Meta(description="The price that the rules ask for.", examples=["19.90"])]


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """One change. All lower ids are committed when it becomes visible."""

    change_id: ChangeId
    at: Annotated[datetime, Meta(description="The time at which it was recorded.", examples=[AT])]


class PricesChanged(Change, frozen=True, kw_only=True, tag="prices"):
    """New versions of price sheets, written together."""

    changes: Annotated[list[ChangedPrice], Meta(description="Up to 1,000 products, each once.")]


class RulesChanged(Change, frozen=True, kw_only=True, tag="rules"):
    """A new rulebook, or new market values. Any price may differ."""

    rulebook_version: Annotated[
        int | None, Meta(description="The rulebook's new version; null: it is the same.", examples=[7])
    ]
    values_version: Annotated[
        int | None, Meta(description="The market values' new version; null: they are the same.", examples=[12])
    ]


WindowPart = Literal["promotion", "price_list", "entries", "multiplier", "exchange_rate"]


class WindowPassed(Change, frozen=True, kw_only=True, tag="window"):
    """A window opened or closed: of a promotion, of a price list or its entries; or a market value came into force."""

    part: Annotated[WindowPart, Meta(description="The kind of the part.", examples=["promotion"])]
    id: Annotated[
        str,
        Meta(
            description="The promotion's or the list's id, the market's code, or two currencies: EUR/USD.",
            examples=["black-friday"],
        ),
    ]
    edge: Annotated[Literal["from", "until"], Meta(description="from: it opened; until: it closed.", examples=["from"])]
    edge_at: Annotated[datetime, Meta(description="The instant of the edge; quotes changed then.", examples=[AT])]


class HoldsChanged(Change, frozen=True, kw_only=True, tag="hold"):
    """Holds that were opened, or that ended. Only for keys with `operate`."""

    holds: Annotated[list[ChangedHold], Meta(description="Up to 1,000 holds.")]


class BreakerChanged(Change, frozen=True, kw_only=True, tag="breaker"):
    """The breaker stopped automation, or was reset. Only for keys with `operate`."""

    is_open: Annotated[bool, Meta(description="Whether automation is stopped.", examples=[True])]
    reason: Annotated[str, Meta(description="The reason.", examples=["the feed is corrected"])]
    author: Annotated[str, Meta(description="Who reset it; empty: the engine opened it.", examples=["shop"])]


class JobEnded(Change, frozen=True, kw_only=True, tag="job"):
    """A job ended. Only for keys with `operate`."""

    task_id: TaskId
    kind: Annotated[str, Meta(description="The kind of the task.", examples=["recalculation"])]
    status: Annotated[str, Meta(description="succeeded, skipped, failed or aborted.", examples=["succeeded"])]


Event = PricesChanged | RulesChanged | WindowPassed | HoldsChanged | BreakerChanged | JobEnded


class Entry(NamedTuple):
    """An entry as it is stored."""

    change_id: int
    type: ChangeType
    data: str
    at: datetime


class Wanted(msgspec.Struct, frozen=True):
    """What a subscriber wants; an empty set: everything of its kind.

    Products and category are those of prices and holds. A product counts in the category that it has after the change.
    """

    types: frozenset[ChangeType] = PUBLIC
    product_ids: frozenset[str] = frozenset()
    category: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether no product is left out."""
        return not self.product_ids and self.category is None


def priced(items: Iterable[PriceItem]) -> str:
    """The stored form of an entry of type `prices`, of up to 1,000 products."""
    return msgspec.json.encode(list(items)).decode()


def event(entry: Entry, wanted: Wanted) -> Event | None:
    """The event of an entry for a subscriber; None: the entry has nothing that it wants."""
    if entry.type not in wanted.types:
        return None
    match entry.type:
        case "prices":
            changes = _changes(entry.data, wanted)
            return PricesChanged(change_id=entry.change_id, at=entry.at, changes=changes) if changes else None
        case "hold":
            holds = [hold for hold in _holds.decode(entry.data) if _is_chosen(hold.product_id, wanted)]
            return HoldsChanged(change_id=entry.change_id, at=entry.at, holds=holds) if holds else None
        case other:
            head = {"type": other, "change_id": entry.change_id, "at": entry.at}
            found: Event = msgspec.convert(msgspec.json.decode(entry.data) | head, _Plain)
            return found


def encoded(event: Event) -> bytes:
    """The event as JSON."""
    return _encoder.encode(event)


def _changes(data: str, wanted: Wanted) -> list[ChangedPrice]:
    items = _prices_of(data)
    chosen: Iterable[PriceItem] = items.values()
    if wanted.product_ids:
        # Over the smaller one of both.
        ids, others = sorted((items.keys(), wanted.product_ids), key=len)
        chosen = [items[product_id] for product_id in ids if product_id in others]
    return [
        ChangedPrice(item.product_id, item.version, item.currency, item.old_price, item.new_price)
        for item in chosen
        if wanted.category is None or item.category == wanted.category
    ]


def _is_chosen(product_id: str, wanted: Wanted) -> bool:
    return not wanted.product_ids or product_id in wanted.product_ids


@lru_cache(maxsize=4)  # many subscribers with filters read the same entries
def _prices_of(data: str) -> dict[str, PriceItem]:
    return {item.product_id: item for item in _prices.decode(data)}


_encoder = msgspec.json.Encoder()
_prices = msgspec.json.Decoder(list[PriceItem])
_holds = msgspec.json.Decoder(list[ChangedHold])
_Plain = RulesChanged | WindowPassed | BreakerChanged | JobEnded
