"""The lowest price before a reduction over HTTP: the facts S20 to S28, X1, X6 and X9 with imported history.

X4, a reduction that has lasted for weeks, is in `tests/unit/pricing/test_lowest_price.py`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from click.testing import CliRunner

from shared.commands.history import import_history
from tests.support.engine import Engine
from tests.support.waiting import eventually

MODES: dict[str, dict[str, Any]] = {
    "before": {"lowest_price_mode": "before_reduction"},
    "rolling": {"lowest_price_mode": "rolling"},
    "first": {"lowest_price_mode": "before_reduction", "progressive": True},
}


class Fact(NamedTuple):
    """Imported prices (days ago, price, price before), the present one, and the lowest price by mode."""

    id: str
    past: tuple[tuple[float, str, str], ...]
    now: tuple[int, int]
    lowest: dict[str, str | None]
    is_short: bool = False


def each(price: str | None) -> dict[str, str | None]:
    return dict.fromkeys(MODES, price)


FACTS = (
    Fact("S20", (), (21, 21), each(None)),
    Fact("S21", ((40, "37", ""),), (21, 37), each("37")),
    Fact("S22", ((40, "37", ""), (2, "21", "37")), (30, 37), each("21") | {"first": "37"}),
    Fact("S23", ((70, "42", ""), (32, "21", "42")), (33, 42), each("21") | {"first": "42"}),
    Fact("S24", ((110, "42", ""), (76, "21", "42"), (45, "39", "42")), (33, 42), each("39") | {"first": "42"}),
    Fact("S25", ((110, "42", ""), (76, "21", "42"), (45, "42", "")), (33, 42), each("42")),
    Fact("S27", ((40, "37", ""), (2, "21", "37")), (37, 37), each(None)),
    Fact("S28", ((40, "37", ""), (9, "21", "37"), (7, "37", ""), (5, "10", ""), (3, "21", "")), (20, 21), each("10")),
    Fact("X1", ((40, "100", ""),), (80, 100), each("100")),
    Fact("X6", ((9, "95", ""), (6, "90", "")), (70, 90), each("90"), is_short=True),
)


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A prefix of this test's products, promotions and markets; the last two end with the test."""
    name = f"l{uuid4().hex[:8]}"
    yield name
    for fact in FACTS:
        engine.http.delete(f"/api/v1/promotions/{name}-{fact.id}")
    for mode in MODES:
        engine.http.delete(f"/api/v1/markets/{name}{mode}")


def put(engine: Engine, path: str, body: dict[str, Any]) -> None:
    response = engine.http.put(f"/api/v1/{path}", json=body)
    assert response.status_code == 200, response.text


@pytest.mark.long
def test_the_facts_with_imported_history(engine: Engine, name: str, tmp_path: Path) -> None:
    now, rows = datetime.now(UTC), ["product_id,market,at,price,reference_price"]
    for mode, rules in MODES.items():
        put(engine, f"markets/{name}{mode}", rules | {"multiplier": "1"})
    for fact in FACTS:
        product_id, (price, reference) = f"{name}-{fact.id}", fact.now
        off = {"amount": str(reference - price), "currency": "USD", "applies_to": {"products": [product_id]}}
        put(engine, f"promotions/{product_id}", {"id": product_id} | off)
        for days, was, before in fact.past:
            at = (now - timedelta(days=days)).isoformat()
            rows += [f"{product_id},{name}{mode},{at},{was},{before}" for mode in MODES]
    file = tmp_path / "past.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    for _ in range(2):  # X9: the same rows twice
        done = CliRunner().invoke(import_history, [str(file)], obj=engine.settings)
        assert done.exit_code == 0, done.output
    for fact in FACTS:
        engine.put_product(product_id=f"{name}-{fact.id}", base_price=str(fact.now[1]))

    def reduced(fact: Fact, mode: str) -> dict[str, Any] | None:
        answer = engine.price(f"{name}-{fact.id}", user_location=f"{name}{mode}")
        return answer if answer["final_price"] == f"{fact.now[0]}.00" else None

    for fact in FACTS:
        for mode, lowest in fact.lowest.items():
            answer = eventually(partial(reduced, fact, mode), f"{fact.id} is reduced in {mode}")
            low = answer.get("lowest_price", {})
            assert (low.get("amount"), low.get("insufficient_history", False)) == (lowest, fact.is_short), (fact, mode)
            if fact.id == "X1":
                assert (low["share_off"], low["days"]) == ("0.2000", 30)


def test_a_promotion_on_sold_products_shows_it_soon_and_keeps_it(engine: Engine, name: str, tmp_path: Path) -> None:
    product_id = engine.put_product()["product_id"]
    promotion = {"id": f"{name}-X1", "percent": "10", "applies_to": {"products": [product_id]}}
    put(engine, f"promotions/{name}-X1", promotion)

    def low() -> dict[str, Any] | None:
        return engine.price(product_id).get("lowest_price")

    first = eventually(low, "the lowest price of the reduction")
    assert (first["amount"], first["share_off"], first["insufficient_history"]) == ("95.00", "0.1000", True)
    engine.put_product(product_id=product_id, base_price="90")
    eventually(lambda: engine.price(product_id)["reference_price"] == "85.50", "the new price")
    assert low() == first | {"share_off": "0.1900"}
    past = f"{product_id},DEFAULT,{(datetime.now(UTC) - timedelta(days=60)).isoformat()},50.00"
    file = tmp_path / "past.csv"
    file.write_text(f"product_id,market,at,price\n{past}", encoding="utf-8")
    done = CliRunner().invoke(import_history, [str(file)], obj=engine.settings)
    assert done.exit_code == 0, done.output
    found = eventually(lambda: (low() or {}).get("amount") == "50.00" and low(), "the imported price counts")
    assert (found["share_off"], found.get("insufficient_history")) == ("0", None)


def test_a_window_that_opens_and_closes_by_itself(engine: Engine, name: str) -> None:
    product_id = engine.put_product()["product_id"]
    promotion = {"id": f"{name}-X1", "percent": "10", "applies_to": {"products": [product_id]}}
    path, opens = f"promotions/{name}-X1", datetime.now(UTC) + timedelta(seconds=2)
    put(engine, path, promotion | {"from": opens.isoformat()})
    found = eventually(lambda: engine.price(product_id).get("lowest_price"), "the lowest price after the window opened")
    assert datetime.fromisoformat(found["before"]) == opens
    with_low = "SELECT version FROM prices WHERE product_id = %s AND sheet LIKE '%%\"lows\"%%'"
    assert engine.sql(with_low, product_id)
    closes = datetime.now(UTC) + timedelta(seconds=2)
    put(engine, path, promotion | {"from": opens.isoformat(), "until": closes.isoformat()})
    eventually(lambda: not engine.sql(with_low, product_id), "the sheet without it after the window closed")
