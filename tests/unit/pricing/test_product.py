from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.pricing.answer import Quote
from shared.pricing.market import Market
from shared.pricing.product import ProductInput
from shared.pricing.query import PriceQuery
from shared.pricing.signal import Signal
from tests.support.pricing_examples import product, tiers

WRONG_AMOUNTS = ["NaN", "Infinity", "1e999999", "-1", "10.001", "1000000000000"]


@pytest.mark.parametrize("field", ["base_price", "cost", "min_price", "max_price", "map_price", "rrp"])
@pytest.mark.parametrize("text", WRONG_AMOUNTS)
def test_a_wrong_amount_is_refused_with_its_fields_name(field: str, text: str) -> None:
    document = {"product_id": "P-1", "name": "Kettle", "currency": "USD", "base_price": "10.00", field: text}
    with pytest.raises(msgspec.ValidationError, match=rf"^`{field}` must "):
        msgspec.json.decode(msgspec.json.encode(document), type=ProductInput)


@pytest.mark.parametrize("field", ["base_price", "cost", "min_price", "max_price", "map_price", "rrp"])
def test_a_product_with_decimals_of_its_own_has_amounts_with_up_to_4(field: str) -> None:
    assert getattr(product(price_decimals=6, **{field: Decimal("0.0123")}), field) == Decimal("0.0123")
    for decimals, amount in ((3, "0.0123"), (0, "0.012"), (6, "0.01234")):
        with pytest.raises(ValueError, match=rf"^`{field}` must have at most"):
            product(price_decimals=decimals, **{field: Decimal(amount)})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"currency": "XXX"}, "`currency` must be an active ISO 4217 code"),
        ({"stock": -1}, "`stock` must be"),
        ({"stock": 1_000_000_001}, "`stock` must be"),
        ({"min_price": Decimal(2), "max_price": Decimal(1)}, "`min_price` must not be above max_price"),
        ({"brand": "Ac\0me"}, "`brand` must not"),
        ({"tax_class": "reduced\n"}, "`tax_class` must not"),
        ({"tags": ("new", "red\n")}, r"`tags\[1\]` must not"),
        ({"tags": ("new", "new")}, "`tags` must have each tag once"),
        ({"quantity_step": Decimal(0)}, "`quantity_step` must be"),
        ({"quantity_step": Decimal("0.0005")}, "`quantity_step` must"),
        ({"product_id": "P-1\n"}, "`product_id` must be printable"),
        ({"name": "Ket\0tle"}, "`name` must not"),
        ({"tiers": tiers((9, "10"))}, r"`tiers\[0\].up_to` must be null for the last tier"),
        ({"tiers": tiers((None, "10"), (None, "9"))}, r"`tiers\[0\].up_to` must be null for the last"),
        ({"tiers": tiers((0, "10"), (None, "9"))}, r"`tiers\[0\].up_to` must be from 1 to"),
        ({"tiers": tiers((9, "10"), (9, "8"), (None, "6"))}, r"`tiers\[1\].up_to` must be from 10 to"),
        ({"tiers": tiers((9, "10"), (None, "6.001"))}, r"`tiers\[1\].unit_price` must have at most 2"),
    ],
)
def test_a_wrong_product_is_refused_with_its_fields_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        product(**fields)


@pytest.mark.parametrize("product_id", ["", " P", "P ", "P\t1", "P\x7f1", "P\u200b1", "P" * 129, "P-1\n", "a\0b"])
def test_a_wrong_product_id_is_refused(product_id: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"product_id": product_id}, PriceQuery)


def test_more_than_twenty_tiers_are_refused() -> None:
    rows = [{"up_to": end, "unit_price": "1"} for end in [*range(1, 21), None]]
    document = {"product_id": "P", "name": "K", "currency": "USD", "base_price": "1", "tiers": rows}
    with pytest.raises(msgspec.ValidationError, match="tiers"):
        msgspec.convert(document, ProductInput)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"content": {"amount": "0", "unit": "kg"}}, "content"),
        ({"content": {"amount": "1", "unit": "stone"}}, "content.unit"),
        ({"price_decimals": 7}, "price_decimals"),
        ({"tags": ["new"] * 33}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"brand": ""}, "brand"),
    ],
)
def test_a_wrong_fact_is_refused_with_its_path(fields: dict[str, Any], path: str) -> None:
    document = {"product_id": "P", "name": "K", "currency": "USD", "base_price": "1", **fields}
    with pytest.raises(msgspec.ValidationError, match=rf"\$\.{path}"):
        msgspec.convert(document, ProductInput)


def test_an_amount_may_have_trailing_zeros_beyond_its_currency() -> None:
    assert product(base_price=Decimal("10.0000")).base_price == 10


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "XXX"),
        ("currency", "usd"),
        ("quantity", 0),
        ("quantity", 1_000_001),
        ("quantity", "2"),
        ("quantity", 1.0005),
        ("quantity", 0.0),
        ("is_prime_member", "yes"),
        ("user_location", ""),
        ("user_location", "x" * 65),
        ("colour", "red"),
    ],
)
def test_a_wrong_query_is_refused_with_the_field_at_fault(field: str, value: Any) -> None:
    document = msgspec.json.encode({"product_id": "P-1", field: value})
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.json.decode(document, type=PriceQuery)


def test_a_query_needs_a_product_only() -> None:
    asked = msgspec.json.decode(b'{"product_id": "P-1"}', type=PriceQuery)
    assert (asked.user_location, asked.is_prime_member, asked.quantity, asked.currency) == (
        None,
        False,
        1,
        None,
    )


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999999", "-1", "0.00001"])
def test_a_signal_and_a_market_refuse_a_wrong_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"^`value` must "):
        Signal(kind="competitor", source="acme", value=Decimal(text), currency="USD")
    with pytest.raises(ValueError, match=r"^`value` must "):
        Signal(kind="demand", source="web", value=Decimal(text))
    with pytest.raises(ValueError, match=r"^`multiplier` must "):
        Market(code="NY", multiplier=Decimal(text), version=1)


def test_every_http_field_has_a_description() -> None:
    _, schemas = msgspec.json.schema_components([PriceQuery, Quote, ProductInput])
    for name, schema in schemas.items():
        for field, shape in schema["properties"].items():
            assert "description" in shape, f"{name}.{field}"
