"""Numbers and nesting that break a decoder are errors of the caller, wherever they come in."""

import time
from typing import Any

import msgspec
import pytest

from api.http.bodies import StrictBody
from shared.cache.changes import _apply
from shared.cache.near import NearCache
from shared.errors import InvalidInput
from shared.importing.rows import _OBJECT
from shared.market_events.events import decode
from shared.pricing.product import ProductInput
from tests.support.metrics import counted

HUGE = b"1e99999999999999999999"
DEEP = b"[" * 100_000


class Body(StrictBody[ProductInput]):
    """The body of a product."""

    model_type = ProductInput


@pytest.mark.parametrize("field", [b"base_price", b"unknown"])
def test_a_number_beyond_every_range_is_invalid_in_a_body(field: bytes) -> None:
    connection: Any = None
    with pytest.raises(InvalidInput):
        Body(connection).decode_bytes(b'{"product_id": "P-1", "' + field + b'": ' + HUGE + b"}")


def test_it_is_invalid_in_an_event_of_the_channel() -> None:
    with pytest.raises(InvalidInput):
        decode(b'{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {"price": ' + HUGE + b"}}")


def test_it_is_a_bad_row_of_a_file() -> None:
    with pytest.raises(msgspec.ValidationError):
        _OBJECT.decode(b'{"base_price": ' + HUGE + b"}")


@pytest.mark.parametrize("message", [DEEP, b'{"changes": ' + DEEP, b'{"unknown": ' + DEEP, b"\xff", b"{}"])
def test_an_announcement_that_is_none_is_passed_over(message: bytes) -> None:
    """The thread that reads the channel lives on."""
    _apply(message, NearCache(10, 1_000))


@pytest.mark.parametrize("at", [b"-1e308", b"1e308", b"0"])
def test_an_announcement_of_another_age_is_no_measurement(at: bytes) -> None:
    before = counted("pricing_near_cache_staleness_seconds_count")
    _apply(b'{"changes": [["P-1", 2]], "at": ' + at + b"}", NearCache(10, 1_000))
    assert counted("pricing_near_cache_staleness_seconds_count") == before
    _apply(b'{"changes": [["P-1", 3]], "at": %f}' % time.time(), NearCache(10, 1_000))
    assert counted("pricing_near_cache_staleness_seconds_count") == before + 1
