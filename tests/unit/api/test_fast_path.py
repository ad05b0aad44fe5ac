"""The fast path's answers to the same bytes: only while nothing that they were computed from has changed."""

import asyncio
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest

from api.edge import fast_path
from api.edge.fast_path import FastPath
from api.edge.tracing import RequestTrace
from api.http.answers import PRICE_PATH
from api.services import Services
from shared.pricing.quote import quote
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import market
from tests.unit.api.price_examples import BODY, Reader, Running

UNRECORDED = RequestTrace(None, (b"traceresponse", b"00-%032x-%016x-00" % (1, 1)))


@pytest.fixture
def answering(reader: Reader) -> FastPath:
    return FastPath(lambda: cast(Services, Running(reader)))


def asked(answering: FastPath, body: bytes = BODY) -> dict[str, Any]:
    message: Any = {"type": "http.request", "body": body, "more_body": False}
    scope: Any = {"path": PRICE_PATH, "method": "POST", "query_string": b"", "headers": []}
    answer = answering.remembered(scope, message)
    if answer is None:
        computed = asyncio.run(answering.answer(scope, message, UNRECORDED))
        assert computed is not None
        answer = computed.body
    decoded: dict[str, Any] = msgspec.json.decode(answer)
    return decoded


def quoted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The products of the quotes that are computed from now on."""
    computed: list[str] = []

    def counted(sheet: PriceSheet, *args: Any, **options: Any) -> Any:
        computed.append(sheet.product_id)
        return quote(sheet, *args, **options)

    monkeypatch.setattr("api.edge.fast_path.quote", counted)
    return computed


def test_the_same_bytes_are_computed_once(answering: FastPath, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = quoted(monkeypatch)
    first, second = asked(answering), asked(answering)
    assert first == second
    assert computed == ["P-1"]


def test_a_new_version_of_the_sheet_is_a_new_price(answering: FastPath, reader: Reader) -> None:
    before = asked(answering)
    reader.sheet = msgspec.structs.replace(reader.sheet, version=reader.sheet.version + 1, published_price=Decimal(90))
    after = asked(answering)
    assert (before["final_price"], after["final_price"]) == ("100.00", "90.00")
    assert after["version"] == before["version"] + 1


def test_a_catalogue_that_began_anew_is_a_new_price(answering: FastPath, reader: Reader) -> None:
    """Its versions are those of before, its decisions are not."""
    asked(answering)
    computed_at = reader.sheet.computed_at.replace(year=2030)
    reader.sheet = msgspec.structs.replace(reader.sheet, computed_at=computed_at, published_price=Decimal(90))
    assert asked(answering)["final_price"] == "90.00"


def test_a_changed_market_is_a_new_price(answering: FastPath, reader: Reader) -> None:
    asked(answering)
    reader.markets = {**reader.markets, "NY": market("0.5")}
    assert asked(answering)["final_price"] == "50.00"


def test_what_is_no_longer_held_is_looked_up(answering: FastPath, reader: Reader) -> None:
    assert asked(answering)["source"] == "cache"
    reader.holds = False
    assert asked(answering)["source"] == "database"
    assert asked(answering)["source"] == "database"
    assert reader.looked_up == ["P-1", "P-1"]


def test_who_asks_and_for_how_many_is_part_of_the_question(answering: FastPath, reader: Reader) -> None:
    reader.sheet = msgspec.structs.replace(reader.sheet, membership_rate=Decimal("0.1"))
    for _ in range(2):
        assert asked(answering, b'{"product_id":"P-1"}')["final_price"] == "100.00"
        assert asked(answering, b'{"product_id":"P-1","is_prime_member":true}')["final_price"] == "90.00"
        assert asked(answering, b'{"product_id":"P-1","quantity":3}')["total"] == "300.00"


def test_answers_are_bounded_and_the_first_goes_first(answering: FastPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "ANSWERS", 2)
    computed = quoted(monkeypatch)
    for quantity in (1, 2, 3, 3, 2, 1):
        asked(answering, b'{"product_id":"P-1","quantity":%d}' % quantity)
    assert len(computed) == 4


def test_a_long_question_is_computed_each_time(answering: FastPath, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = quoted(monkeypatch)
    for _ in range(2):
        asked(answering, BODY + b" " * fast_path.ANSWERED_BYTES)
    assert len(computed) == 2
