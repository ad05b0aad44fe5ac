"""The fast path's answers to the same bytes: only while nothing that they were computed from has changed."""

import asyncio
import gc
import weakref
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest

from api.edge import fast_path
from api.edge.fast_path import FastPath
from api.edge.tracing import RequestTrace
from api.http.answers import PRICE_PATH
from api.services import Services
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.exchange import MarketValues, Since
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.settings import Settings
from tests.support.pricing_examples import NOON
from tests.support.shop_examples import EPOCH, entry, rulebook, terms_of, values
from tests.unit.api.price_examples import BODY, Reader, Running

UNRECORDED = RequestTrace(None, (b"traceresponse", b"00-%032x-%016x-00" % (1, 1)))


@pytest.fixture
def answering(reader: Reader) -> FastPath:
    return FastPath(lambda: cast(Services, Running(reader)))


def asked(answering: FastPath, body: bytes = BODY, key: str = "") -> Any:
    """The answer; None: it is left to the framework."""
    message: Any = {"type": "http.request", "body": body, "more_body": False}
    headers = [(b"authorization", b"Bearer " + key.encode())] if key else []
    scope: Any = {"path": PRICE_PATH, "method": "POST", "query_string": b"", "headers": headers}
    plain = answering.plain_body(scope, message)
    found = None if plain is None else answering.at_once(scope, plain)
    if not isinstance(found, bytes):
        computed = asyncio.run(answering.answer(scope, message, UNRECORDED, plain, found))
        found = None if computed is None else computed.body
    return None if found is None else msgspec.json.decode(found)


def quoted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The products of the quotes that are computed from now on."""
    computed: list[str] = []

    def counted(terms: Terms, bound: BoundSheet, *args: Any, **options: Any) -> Any:
        computed.append(bound.sheet.product_id)
        return quote(terms, bound, *args, **options)

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


def test_changed_values_and_a_changed_rulebook_are_a_new_price(answering: FastPath, reader: Reader) -> None:
    asked(answering)
    book = rulebook(markets={"DEFAULT": {}, "NY": {}})
    reader.terms = terms_of(book, values({"NY": "0.5"}))
    assert asked(answering)["final_price"] == "50.00"
    reader.terms = terms_of(rulebook(promotions=[{"id": "p", "percent": 10}]), values({"NY": "0.5"}))
    assert asked(answering)["final_price"] == "45.00"


def test_answers_of_a_former_rulebook_do_not_keep_it_in_memory(answering: FastPath, reader: Reader) -> None:
    asked(answering)
    former = weakref.ref(reader.terms)
    reader.terms = terms_of(rulebook(promotions=[{"id": "p", "percent": 10}]))
    asked(answering, b'{"product_id":"P-1","quantity":2}')
    gc.collect()
    assert former() is None


def test_an_answer_ends_when_a_window_opens_and_when_it_closes(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    opens, closes = "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"
    reader.terms = terms_of(rulebook(promotions=[{"id": "p", "percent": 10, "from": opens, "until": closes}]))
    clock = [NOON.timestamp() - 0.001]
    answering = FastPath(lambda: cast(Services, Running(reader)), now=lambda: clock[0])
    computed = quoted(monkeypatch)
    seen = []
    for instant in (-0.001, -0.001, 0, 0, 3599.999, 3600, 3600):
        clock[0] = NOON.timestamp() + instant
        answer = asked(answering)
        seen.append((answer["final_price"], answer["valid_until"]))
    assert seen == [("100.00", opens)] * 2 + [("90.00", closes)] * 3 + [("100.00", None)] * 2
    assert len(computed) == 3


def test_a_multiplier_that_changes_later_ends_the_answer(reader: Reader) -> None:
    later = NOON + timedelta(hours=1)
    timeline = (Since(EPOCH, Decimal(1)), Since(later, Decimal(2)))
    reader.terms = terms_of(rulebook(), MarketValues({"NY": timeline}))
    clock = [NOON.timestamp()]
    answering = FastPath(lambda: cast(Services, Running(reader)), now=lambda: clock[0])
    assert asked(answering)["final_price"] == "100.00"
    clock[0] += 3600
    assert asked(answering)["final_price"] == "200.00"


GROUP = b'{"product_id":"P-1","customer_groups":["b2b"]}'


def test_an_answer_that_needs_a_key_is_given_and_remembered_to_no_caller_without_one(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = [{"id": "w", "kind": "override", "conditions": [{"attribute": "customer_groups", "in": ["b2b"]}]}]
    reader.terms = terms_of(rulebook(lists=lists))
    reader.sheet = msgspec.structs.replace(reader.sheet, entries=(entry("w", "70"),))
    answering = FastPath(lambda: cast(Services, Running(reader)))
    computed = quoted(monkeypatch)
    assert asked(answering, GROUP) is None
    assert asked(answering, GROUP, key="reader")["final_price"] == "70.00"
    assert asked(answering, GROUP, key="nobody") is None
    assert asked(answering, GROUP) is None
    assert asked(answering, b'{"product_id":"P-1"}')["final_price"] == "100.00"
    trusting = FastPath(lambda: cast(Services, Running(reader, settings=Settings(trust_callers=True))))
    assert asked(trusting, GROUP)["price_list"] == "w"
    assert len(computed) == 3


def test_an_instant_of_the_past_is_left_to_the_framework_and_one_of_the_future_has_its_price(reader: Reader) -> None:
    reader.terms = terms_of(rulebook(promotions=[{"id": "p", "percent": 10, "from": "2026-03-02T00:00:00Z"}]))
    answering = FastPath(lambda: cast(Services, Running(reader)), now=NOON.timestamp)
    assert asked(answering, b'{"product_id":"P-1","at":"2026-03-01T11:00:00Z"}', key="reader") is None
    future = asked(answering, b'{"product_id":"P-1","at":"2026-03-02T00:00:00Z"}', key="reader")
    assert (future["final_price"], asked(answering)["final_price"]) == ("90.00", "100.00")


def test_what_is_no_longer_held_is_looked_up(answering: FastPath, reader: Reader) -> None:
    assert asked(answering)["source"] == "cache"
    reader.holds = False
    assert asked(answering)["source"] == "database"
    assert asked(answering)["source"] == "database"
    assert reader.looked_up == ["P-1", "P-1"]


def test_who_asks_and_for_how_many_is_part_of_the_question(answering: FastPath, reader: Reader) -> None:
    reader.terms = terms_of(rulebook(membership_rate="0.1"))
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


def test_an_error_at_once_is_left_to_the_answer_that_renders_it(
    answering: FastPath, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "held", lambda _: 1 / 0)
    scope: Any = {"path": PRICE_PATH, "method": "POST", "query_string": b"", "headers": []}
    assert answering.at_once(scope, BODY) == PriceQuery(product_id="P-1", user_location="NY")
