"""What may be told to the engine, and what is refused with the place of the fault."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.errors import InvalidInput, NotJson
from shared.market_events.events import (
    EVENT_TYPES,
    MAX_AHEAD,
    MAX_EVENT_BYTES,
    CloudEvent,
    CompetitorPriceChanged,
    checked_time,
    decode,
    parse_data,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VALID: dict[str, list[dict[str, Any]]] = {
    "competitor_price_changed": [
        {"product_id": "P-1", "competitor": "acme", "price": "94.50", "currency": "USD"},
        {"product_id": "P-1", "competitor": "acme", "price": 94.5, "currency": "USD", "in_stock": False},
        {"product_id": "P-1", "competitor": "acme", "price": 94, "currency": "JPY"},
    ],
    "demand_changed": [{"product_id": "P-1", "index": "0.01"}, {"product_id": "P-1", "index": 100}],
    "stock_changed": [{"product_id": "P-1", "stock": 0}, {"product_id": "P-1", "stock": 1_000_000_000}],
    "cost_changed": [{"product_id": "P-1", "cost": "61.001", "currency": "KWD"}],
    "market_changed": [{"market": "NY", "multiplier": "1.08"}],
    "recalculation_requested": [{}, {"product_ids": ["P-1", "P-2"]}, {"category": "grocery"}],
}
INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("competitor_price_changed", {"price": "-1"}, "$.data.price"),
    ("competitor_price_changed", {"price": "NaN"}, "$.data.price"),
    ("competitor_price_changed", {"price": "Infinity"}, "$.data.price"),
    ("competitor_price_changed", {"price": "1e999999"}, "$.data.price"),
    ("competitor_price_changed", {"price": "1.001"}, "$.data.price"),
    ("competitor_price_changed", {"price": "1000000000000"}, "$.data.price"),
    ("competitor_price_changed", {"price": "0"}, "$.data.price"),
    ("competitor_price_changed", {"price": "0.00"}, "$.data.price"),
    ("competitor_price_changed", {"price": None}, "$.data.price"),
    ("competitor_price_changed", {"price": True}, "$.data.price"),
    ("competitor_price_changed", {"price": "1.5", "currency": "JPY"}, "$.data.price"),
    ("competitor_price_changed", {"currency": "XXX"}, "$.data.currency"),
    ("competitor_price_changed", {"currency": "usd"}, "$.data.currency"),
    ("competitor_price_changed", {"competitor": ""}, "$.data.competitor"),
    ("competitor_price_changed", {"competitor": "x" * 65}, "$.data.competitor"),
    ("competitor_price_changed", {"in_stock": "yes"}, "$.data.in_stock"),
    ("competitor_price_changed", {"product_id": "P\t1"}, "$.data.product_id"),
    ("competitor_price_changed", {"product_id": ""}, "$.data.product_id"),
    ("competitor_price_changed", {"product_id": "x" * 129}, "$.data.product_id"),
    ("competitor_price_changed", {"product_id": "P-1\n"}, "$.data.product_id"),
    ("competitor_price_changed", {"competitor": "a\0b"}, "$.data.competitor"),
    ("competitor_price_changed", {"colour": "red"}, "$.data.colour"),
    ("demand_changed", {"index": "0"}, "$.data.index"),
    ("demand_changed", {"index": "100.01"}, "$.data.index"),
    ("demand_changed", {"index": "1.00001"}, "$.data.index"),
    ("demand_changed", {"index": "-0"}, "$.data.index"),
    ("stock_changed", {"stock": -1}, "$.data.stock"),
    ("stock_changed", {"stock": 1.5}, "$.data.stock"),
    ("stock_changed", {"stock": "40"}, "$.data.stock"),
    ("stock_changed", {"stock": True}, "$.data.stock"),
    ("stock_changed", {"stock": 10**30}, "$.data.stock"),
    ("cost_changed", {"cost": "-0.001"}, "$.data.cost"),
    ("cost_changed", {"currency": "ABC"}, "$.data.currency"),
    ("market_changed", {"market": ""}, "$.data.market"),
    ("market_changed", {"market": "N\0Y"}, "$.data.market"),
    ("market_changed", {"multiplier": "0.009"}, "$.data.multiplier"),
    ("recalculation_requested", {"product_ids": []}, "$.data.product_ids"),
    ("recalculation_requested", {"product_ids": ["P-1", ""]}, "$.data.product_ids[1]"),
    ("recalculation_requested", {"product_ids": ["P-1"] * 10_001}, "$.data.product_ids"),
    ("recalculation_requested", {"product_ids": ["P-1"], "category": "grocery"}, "$.data.category"),
    ("recalculation_requested", {"category": ""}, "$.data.category"),
    ("recalculation_requested", {"category": "a\0b"}, "$.data.category"),
]


def envelope(**fields: Any) -> bytes:
    known: dict[str, Any] = {"specversion": "1.0", "id": "e-1", "source": "shop", "type": "demand_changed"}
    return msgspec.json.encode(known | {"data": {}} | fields)


def test_every_type_has_examples_here() -> None:
    assert set(VALID) == set(EVENT_TYPES)


@pytest.mark.parametrize(("type_", "data"), [(type_, data) for type_ in VALID for data in VALID[type_]])
def test_a_valid_event_is_taken(type_: str, data: dict[str, Any]) -> None:
    assert isinstance(parse_data(type_, data), EVENT_TYPES[type_])


@pytest.mark.parametrize(("type_", "wrong", "path"), INVALID)
def test_a_wrong_field_is_refused_with_its_path(type_: str, wrong: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_data(type_, VALID[type_][0] | wrong)
    assert refused.value.path == path
    assert refused.value.reason


@pytest.mark.parametrize("type_", [type_ for type_ in VALID if type_ != "recalculation_requested"])
def test_every_event_but_a_recalculation_needs_its_fields(type_: str) -> None:
    for field in VALID[type_][0]:
        data = {name: value for name, value in VALID[type_][0].items() if name != field}
        with pytest.raises(InvalidInput, match=f"the field `{field}` is missing"):
            parse_data(type_, data)


@pytest.mark.parametrize("data", [[], "x", None, 1])
def test_data_is_an_object(data: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_data("demand_changed", data)
    assert refused.value.path == "$.data"


@pytest.mark.parametrize("type_", ["", "price_changed", "DEMAND_CHANGED", "a\0b"])
def test_an_unknown_type_is_refused_with_the_known_ones(type_: str) -> None:
    with pytest.raises(InvalidInput, match="recalculation_requested") as refused:
        parse_data(type_, {})
    assert refused.value.path == "$.type"


def test_a_price_that_came_as_a_number_keeps_its_digits() -> None:
    event = parse_data("competitor_price_changed", VALID["competitor_price_changed"][0] | {"price": 0.1})
    assert isinstance(event, CompetitorPriceChanged)
    assert event.price == Decimal("0.1")


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (NOW, NOW),
        (NOW + MAX_AHEAD, NOW + MAX_AHEAD),
        (NOW - timedelta(days=3650), NOW - timedelta(days=3650)),
        (NOW.astimezone(timezone(timedelta(hours=5, minutes=30))), NOW),
    ],
)
def test_the_time_of_an_event_is_its_own_in_utc(time: datetime, expected: datetime) -> None:
    checked = checked_time(time, NOW)
    assert checked is not None
    assert (checked, checked.utcoffset()) == (expected, timedelta(0))


def test_an_event_without_a_time_gets_it_when_it_is_recorded() -> None:
    assert checked_time(None, NOW) is None


@pytest.mark.parametrize(
    "time",
    [
        NOW.replace(tzinfo=None),
        NOW + MAX_AHEAD + timedelta(microseconds=1),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    ],
)
def test_a_time_without_offset_from_the_future_or_outside_the_calendar_is_refused(time: datetime) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_time(time, NOW)
    assert refused.value.path == "$.time"


def test_an_envelope_needs_little_and_may_have_more() -> None:
    event = decode(envelope(subject="x", datacontenttype="application/json"))
    assert (event.id, event.source, event.type, event.time, event.data) == ("e-1", "shop", "demand_changed", None, {})
    assert event.traceparent == ""


def test_an_envelope_comes_out_as_it_went_in() -> None:
    event = CloudEvent(
        specversion="1.0", id="e", source="s", type="t", time=NOW, data={"a": "1.10"}, traceparent="00-1-2-01"
    )
    assert decode(msgspec.json.encode(event)) == event


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"specversion": "0.3"}, "$.specversion"),
        ({"specversion": 1.0}, "$.specversion"),
        ({"id": ""}, "$.id"),
        ({"id": "x" * 201}, "$.id"),
        ({"id": 5}, "$.id"),
        ({"id": "a\0b"}, "$.id"),
        ({"source": ""}, "$.source"),
        ({"source": "x" * 201}, "$.source"),
        ({"source": "a\0b"}, "$.source"),
        ({"type": ""}, "$.type"),
        ({"type": "x" * 101}, "$.type"),
        ({"time": "yesterday"}, "$.time"),
        ({"time": 12}, "$.time"),
        ({"data": []}, "$.data"),
        ({"data": "x"}, "$.data"),
        ({"traceparent": 1}, "$.traceparent"),
    ],
)
def test_a_wrong_envelope_is_refused_with_the_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode(envelope(**fields))
    assert refused.value.path == path


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"hello", envelope() + b"x", envelope()[:-1] + b',"x":NaN}'])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(NotJson):
        decode(raw)


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
def test_an_envelope_without_its_attributes_is_refused(missing: str) -> None:
    fields = msgspec.json.decode(envelope())
    del fields[missing]
    with pytest.raises(InvalidInput, match=f"the field `{missing}` is missing"):
        decode(msgspec.json.encode(fields))


def test_the_limit_of_the_size_is_exact() -> None:
    padding = MAX_EVENT_BYTES - len(envelope(x=""))
    assert decode(envelope(x="a" * padding)).id == "e-1"
    with pytest.raises(NotJson, match="more than 64000 bytes"):
        decode(envelope(x="a" * (padding + 1)))


def test_nesting_without_end_is_refused() -> None:
    deep = b"[" * 30_000 + b"]" * 30_000
    with pytest.raises(InvalidInput):
        decode(envelope()[: -len(b"{}}")] + b'{"x":' + deep + b"}}")


def test_a_number_keeps_its_digits_on_its_way_through_an_event() -> None:
    """As a float, 0.1 + 0.2 of a price would be the least that could go wrong."""
    raw = (
        b'{"specversion":"1.0","id":"e","source":"s","type":"competitor_price_changed","data":'
        b'{"product_id":"P-1","competitor":"acme","currency":"CLF","price":900719925474.0993}}'
    )
    event = decode(raw)
    stored = msgspec.json.decode(msgspec.json.encode(event.data))
    data = parse_data(event.type, stored)
    assert isinstance(data, CompetitorPriceChanged)
    assert data.price == Decimal("900719925474.0993")
