"""Workers killed while they make, apply or undo a plan of an import: it goes on by itself, and nothing is doubled."""

from decimal import Decimal
from typing import Any

import psutil

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.support.trap import Fate, Trap, process_at

GOES_ON_S = 30.0
PRICE = Decimal("90.00")
# What a worker is about to send when it is killed. Of new prices it is their causes: a statement that a connection has
# prepared, which the updates see to, is sent without its text.
WHILE_MADE = (b"INSERT INTO plan_parts", b"UPDATE plans SET ready_at")
WHILE_APPLIED = (b'"plan","plan"', b"UPDATE plans SET applied_at")


def _make(context: Context) -> Figure:
    worst, before = 0.0, _versions(context)
    sent = _sent(context)
    for mark in WHILE_MADE:
        plan_id, took = _through(
            context, mark, lambda: _call(context, "plans", {"changes": [{"import": sent}]}), "ready"
        )
        worst = max(worst, took)
        _is_whole(context, plan_id)
        assert _versions(context) == before, "a plan changed a price sheet"
        context.whole()
    return Figure(f"ready in {worst:.1f} s at worst", at_most("ready", worst, GOES_ON_S))


def _apply(context: Context) -> Figure:
    worst, took = 0.0, 0.0
    first = context.plain_price
    for mark in WHILE_APPLIED:
        plan_id = _ready(context, "plans", {"changes": [{"import": _sent(context)}]})
        _, took = _through(context, mark, lambda plan_id=plan_id: _apply_of(context, plan_id), "applied")
        worst = max(worst, took)
        _has_prices(context, plan_id, PRICE)
        context.whole()
        if mark != WHILE_APPLIED[-1]:
            undo = _ready(context, "undo", {"plan": plan_id})
            _reach(context, _apply_of(context, undo), "applied")
            _has_prices(context, undo, first)
    context.plain_price = PRICE
    return Figure(f"applied in {worst:.1f} s at worst", at_most("applied", worst, GOES_ON_S))


def _undo(context: Context) -> Figure:
    worst, first = 0.0, context.plain_price
    for mark in WHILE_APPLIED:
        plan_id = _ready(context, "plans", {"changes": [{"import": _sent(context)}]})
        _reach(context, _apply_of(context, plan_id), "applied")
        undo = _ready(context, "undo", {"plan": plan_id})
        _, took = _through(context, mark, lambda undo=undo: _apply_of(context, undo), "applied")
        worst = max(worst, took)
        _has_prices(context, undo, first)
        context.whole()
    return Figure(f"undone in {worst:.1f} s at worst", at_most("undone", worst, GOES_ON_S))


def _through(context: Context, mark: bytes, begin: Any, status: str) -> tuple[str, float]:
    """Begin something, kill the worker that is about to send this statement, and wait for its end."""
    workers = context.environment.apps.family("worker")

    def kill(port: int) -> bool:
        process: psutil.Process | None = process_at(port, workers)
        if process:
            process.kill()
        return process is not None

    with context.environment.to_postgres.trap(Trap((mark,), Fate.CUT, act=kill)) as trap:
        plan_id = begin()
        trap.wait(f"a worker is killed before {mark.decode()}")
        return plan_id, context.seconds_until(lambda: _status(context, plan_id) == status, f"the plan is {status}")


def _sent(context: Context) -> str:
    """An import of another list price of every plain product."""
    rows = ["product_id,base_price", *(f"{product_id},{PRICE}" for product_id in context.catalogue.plain)]
    engine = context.environment.engine
    answer = engine.http.post("/api/v1/imports", content="\n".join(rows), headers=engine.authorized)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["import_id"])


def _call(context: Context, path: str, body: dict[str, Any]) -> str:
    engine = context.environment.engine
    answer = engine.http.post(f"/api/v1/{path}", json=body, headers=engine.authorized)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["plan_id"])


def _apply_of(context: Context, plan_id: str) -> str:
    return _call(context, f"plans/{plan_id}/apply", {})


def _ready(context: Context, path: str, body: dict[str, Any]) -> str:
    return _reach(context, _call(context, path, body), "ready")


def _reach(context: Context, plan_id: str, status: str) -> str:
    context.seconds_until(lambda: _status(context, plan_id) == status, f"plan {plan_id} is {status}")
    return plan_id


def _status(context: Context, plan_id: str) -> str:
    engine = context.environment.engine
    found = engine.http.get(f"/api/v1/plans/{plan_id}", headers=engine.authorized).json()
    assert found["status"] not in ("failed", "aborted"), found["error"]
    return str(found["status"])


def _is_whole(context: Context, plan_id: str) -> None:
    """Every plain product is planned once."""
    query = "SELECT count(*) AS n, count(DISTINCT product_id) AS products FROM plan_items WHERE plan_id = %s"
    [row] = context.environment.engine.sql(query, plan_id)
    assert row["n"] == row["products"] == len(context.catalogue.plain), row


def _has_prices(context: Context, plan_id: str, price: Decimal) -> None:
    """Every plain product has the price, by one change of the plan."""
    query = """
        SELECT count(*) AS n FROM prices p WHERE p.published_price = %s AND p.product_id = ANY(%s) AND (
            SELECT count(*) FROM price_history h WHERE h.product_id = p.product_id AND h.cause_id = %s) = 1"""
    [row] = context.environment.engine.sql(query, price, context.catalogue.plain, plan_id)
    assert row["n"] == len(context.catalogue.plain), f"{row['n']} of the prices are {price} by one change"


def _versions(context: Context) -> dict[str, int]:
    rows = context.environment.engine.sql(
        "SELECT product_id, version FROM prices WHERE product_id = ANY(%s)", context.catalogue.plain
    )
    return {row["product_id"]: row["version"] for row in rows}


BAR = "goes on ≤ 30 s, nothing left or doubled"
CASES = (
    Case("plan-killed", "kill the worker that makes a plan, at two points", BAR, _make),
    Case("apply-killed", "kill the worker that applies a plan, at two points", BAR, _apply),
    Case("undo-killed", "kill the worker that applies an undo, at two points", BAR, _undo),
)
