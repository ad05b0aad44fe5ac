"""Market events: their types, as CloudEvents 1.0 in JSON."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from shared.catalogue.product_set import ProductSet
from shared.errors import InvalidInput, NotJson, translated
from shared.pricing.currencies import CurrencyCode, known_currency
from shared.pricing.money import amount_in_currency, multiplier
from shared.pricing.product import MAX_CATEGORY, ProductId
from shared.pricing.text import clean_id, clean_text
from shared.wire import amounts, instants
from shared.wire.fields import AT
from shared.wording import meant

MAX_AHEAD = timedelta(minutes=5)
MAX_EVENT_BYTES = 64_000

Competitor = Annotated[str, Meta(min_length=1, max_length=64, description="The competitor's name", examples=["acme"])]
MarketCode = Annotated[
    str, Meta(min_length=1, max_length=64, description="A market, as in `user_location`", examples=["NY"])
]
ProductIds = Annotated[
    tuple[ProductId, ...],
    Meta(min_length=1, max_length=10_000, description="Only these products", examples=[["P-100", "P-101"]]),
]
Category = Annotated[
    str, Meta(min_length=1, max_length=MAX_CATEGORY, description="Only this category", examples=["electronics"])
]


class EventData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `data` of an event: absolute new values, never differences."""

    type: ClassVar[str]

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, str):
                (clean_id if field == "product_id" else clean_text)(field, value)
            elif isinstance(value, tuple):
                for index, product_id in enumerate(value):
                    clean_id(f"{field}[{index}]", product_id)


class CompetitorPriceChanged(EventData, frozen=True):
    """A competitor's price of the product has changed, or its stock has run out."""

    type = "competitor_price_changed"
    product_id: ProductId
    competitor: Competitor
    price: Annotated[Decimal, Meta(description="The competitor's unit price, > 0", examples=["94.50"])]
    currency: CurrencyCode
    in_stock: Annotated[bool, Meta(description="Whether the competitor can deliver", examples=[True])] = True
    shipping: Annotated[
        Decimal | None, Meta(description="The shipping in the same currency, ≥ 0; null: unknown", examples=["4.90"])
    ] = None
    expires_at: Annotated[
        datetime | None,
        Meta(description="The instant from which the price does not count any more; null: none", examples=[AT]),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        known_currency("currency", self.currency)
        amount_in_currency("price", self.price, self.currency)
        if self.shipping is not None:
            amount_in_currency("shipping", self.shipping, self.currency)
        instants.check("expires_at", self.expires_at)
        if not self.price:
            raise ValueError("`price` must be above 0")


class DemandChanged(EventData, frozen=True):
    """Demand for the product is now `index` times the normal demand."""

    type = "demand_changed"
    product_id: ProductId
    index: Annotated[Decimal, Meta(description="1 is normal; 0.01 to 100", examples=["1.2"])]

    def __post_init__(self) -> None:
        super().__post_init__()
        multiplier("index", self.index)


class StockChanged(EventData, frozen=True):
    """The product's stock is now this number of pieces."""

    type = "stock_changed"
    product_id: ProductId
    stock: Annotated[int, Meta(ge=0, le=1_000_000_000, description="Pieces", examples=[40])]


class CostChanged(EventData, frozen=True):
    """The product's unit cost is now this amount."""

    type = "cost_changed"
    product_id: ProductId
    cost: Annotated[Decimal, Meta(description="Unit cost, ≥ 0, in the product's currency", examples=["61.00"])]
    currency: CurrencyCode

    def __post_init__(self) -> None:
        super().__post_init__()
        known_currency("currency", self.currency)
        amount_in_currency("cost", self.cost, self.currency)


class MarketChanged(EventData, frozen=True):
    """A market's multiplier is now this number; an unknown market is created."""

    type = "market_changed"
    market: MarketCode
    multiplier: Annotated[Decimal, Meta(description="0.01 to 100", examples=["1.08"])]

    def __post_init__(self) -> None:
        super().__post_init__()
        multiplier("multiplier", self.multiplier)


class RecalculationRequested(EventData, frozen=True):
    """A request to decide prices anew: of some products, of a category, or of all products."""

    type = "recalculation_requested"
    product_ids: ProductIds | None = None
    category: Category | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.product_ids is not None and self.category is not None:
            raise ValueError("`category` cannot be given together with `product_ids`")

    @property
    def product_set(self) -> ProductSet:
        """The products to recalculate."""
        return ProductSet(self.product_ids or (), (self.category,) if self.category else ())


EVENT_TYPES: dict[str, type[EventData]] = {
    kind.type: kind
    for kind in (
        CompetitorPriceChanged,
        DemandChanged,
        StockChanged,
        CostChanged,
        MarketChanged,
        RecalculationRequested,
    )
}


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The envelope on the channel. Further CloudEvents attributes are allowed and ignored."""

    specversion: Annotated[str, Meta(pattern=r"^1\.")]
    id: Annotated[str, Meta(min_length=1, max_length=200)]
    source: Annotated[str, Meta(min_length=1, max_length=200)]
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    time: datetime | None = None
    data: dict[str, Any] = {}
    traceparent: str = ""
    tracestate: str = ""

    def __post_init__(self) -> None:
        for field in ("id", "source", "type", "traceparent", "tracestate"):
            clean_text(field, getattr(self, field))


def decode(raw: bytes) -> CloudEvent:
    """The envelope in a channel message.

    Raises:
        NotJson: the bytes are not JSON, or more than 64,000.
        InvalidInput: the message is not a CloudEvent.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise NotJson(f"more than {MAX_EVENT_BYTES} bytes")
    with translated():
        return _envelope.decode(raw)


def parse_data(type_: str, data: object, path: str = "$.data") -> EventData:
    """The validated data of an event.

    Raises:
        InvalidInput: the type is unknown, or the data does not match it; the path names the first wrong field.
    """
    kind = EVENT_TYPES.get(type_)
    if kind is None:
        raise InvalidInput(
            f"unknown event type{meant(type_, EVENT_TYPES) or ';'} known: {', '.join(EVENT_TYPES)}", "$.type"
        )
    try:
        with translated():
            found = msgspec.convert(data, kind)
        amounts.check(found, data)
        return found
    except InvalidInput as wrong:
        raise InvalidInput(wrong.reason, path + wrong.path.removeprefix("$")) from None


def stored_data(type_: str, data: str) -> EventData:
    """The data of a recorded event, from its JSON; it was validated when it was recorded.

    Raises:
        InvalidInput: an older release accepted data that this one refuses.
    """
    with translated():
        return _stored[type_].decode(data)


def checked_time(time: datetime | None, now: datetime) -> datetime | None:
    """The event's time in UTC; None: it has none, and gets PostgreSQL's when it is recorded.

    Raises:
        InvalidInput: the time has no UTC offset, or is more than 5 minutes ahead of `now`.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise InvalidInput("needs a UTC offset, as in 2026-01-31T12:00:00Z", "$.time")
    if time > now + MAX_AHEAD:
        raise InvalidInput(f"more than 5 minutes ahead of {now:%Y-%m-%dT%H:%M:%SZ}", "$.time")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("before the year 1 or after 9999 in UTC", "$.time") from None


# Numbers in `data` keep their digits: they are never floats, and are stored as strings.
_envelope = msgspec.json.Decoder(CloudEvent, float_hook=amounts.exact)
_stored = {name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()}
