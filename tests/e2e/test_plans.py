"""Plans through the real processes: made, shown, applied, discarded, and who may."""

import csv
from typing import Any

from tests.support.engine import Engine
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1


def plan(engine: Engine, *changes: dict[str, Any], **options: Any) -> str:
    answer = engine.http.post("/api/v1/plans", json={"changes": changes, **options})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["plan_id"])


def reached(engine: Engine, plan_id: str, status: str) -> dict[str, Any]:
    """The plan once it has this status."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = engine.http.get(f"/api/v1/plans/{plan_id}").json()
        return found if found["status"] == status else None

    return eventually(look, f"plan {plan_id} {status}")


def policy(engine: Engine, **fields: Any) -> dict[str, Any]:
    """The policy in force with other fields, as a change."""
    return {"policy": engine.http.get("/api/v1/rulebook").json()["policy"] | fields}


def test_a_plan_is_made_shown_and_applied(engine: Engine) -> None:
    before = policy(engine)
    product_id = engine.put_product(cost="90.00", category="plans")["product_id"]
    price = engine.price(product_id)["final_price"]
    plan_id = plan(engine, policy(engine, min_margin="0.3"))
    made = reached(engine, plan_id, "ready")
    assert made["result"]["products"] == made["progress"]["total"] > 0
    [item] = engine.http.get(f"/api/v1/plans/{plan_id}/items", params={"category": "plans"}).json()["items"]
    assert (item["product_id"], item["new_price"], item["bound"]) == (product_id, "117.00", "floor")
    table = engine.http.get(
        f"/api/v1/plans/{plan_id}/items", params={"category": "plans"}, headers={"accept": "text/csv"}
    )
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    [row] = csv.DictReader(table.text.splitlines())
    assert (row["product_id"], row["new_price"], row["market"]) == (product_id, "117.00", "")
    assert engine.price(product_id)["final_price"] == price

    answer = engine.http.post(f"/api/v1/plans/{plan_id}/apply", json={})
    assert (answer.status_code, answer.json()["status"]) == (202, "applying")
    reached(engine, plan_id, "applied")
    eventually(lambda: engine.price(product_id)["final_price"] == "117.00", "the planned price is served")
    assert engine.history(product_id)[0]["cause"] == "plan"
    again = engine.http.post(f"/api/v1/plans/{plan_id}/apply", json={})
    assert (again.status_code, again.json()["detail"]) == (409, "the plan is applied")

    back = plan(engine, before)
    reached(engine, back, "ready")
    engine.http.post(f"/api/v1/plans/{back}/apply")
    reached(engine, back, "applied")
    eventually(lambda: engine.price(product_id)["final_price"] == price, "the former price is served")


def test_a_wrong_change_is_refused_with_the_path_inside_it(engine: Engine) -> None:
    wrong = {"changes": [policy(engine), {"promotion": {"id": "x", "percent": "10", "from": "yesterday"}}]}
    answer = engine.http.post("/api/v1/plans", json=wrong)
    assert (answer.status_code, answer.json()["path"]) == (422, "$.changes[1].promotion.from")
    answer = engine.http.post("/api/v1/plans", json={"changes": [{"policy": {}, "delete": {"market": "NY"}}]})
    assert answer.status_code == 422


def test_a_plan_needs_the_scope_of_its_changes(engine: Engine) -> None:
    made = engine.http.post("/api/v1/keys", json={"name": "reader", "scopes": ["catalogue:read"]}).json()
    reader = {"authorization": f"Bearer {made['key']}"}
    answer = engine.anonymous.post("/api/v1/plans", json={"changes": [policy(engine)]}, headers=reader)
    assert (answer.status_code, "rules:write" in answer.json()["detail"]) == (403, True)
    plan_id = plan(engine, policy(engine))
    reached(engine, plan_id, "ready")
    assert engine.anonymous.post(f"/api/v1/plans/{plan_id}/apply", headers=reader).status_code == 403
    assert engine.anonymous.post(f"/api/v1/plans/{plan_id}/discard", headers=reader).status_code == 403
    assert engine.http.post(f"/api/v1/plans/{plan_id}/discard").json()["status"] == "discarded"
    assert engine.http.post(f"/api/v1/plans/{plan_id}/apply").status_code == 409


def test_plans_are_listed_and_items_paged(engine: Engine) -> None:
    category = "paged-plans"
    ids = sorted(engine.put_product(cost="90.00", category=category)["product_id"] for _ in range(3))
    plan_id = plan(engine, policy(engine, min_margin="0.5"), products={"categories": [category]})
    made = reached(engine, plan_id, "ready")
    assert (made["is_partial"], made["result"]["rise"]) == (True, 3)
    assert engine.http.get("/api/v1/plans", params={"limit": 1}).json()["items"][0]["plan_id"] == plan_id
    found, cursor = [], None
    while True:
        params: dict[str, str | int | None] = {"limit": 2, "order": "rises", "cursor": cursor}
        page = engine.http.get(
            f"/api/v1/plans/{plan_id}/items", params={name: value for name, value in params.items() if value}
        ).json()
        found += [item["product_id"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert found == ids
    assert engine.http.post(f"/api/v1/plans/{plan_id}/apply").status_code == 409


def test_a_direct_write_that_moves_too_many_prices_needs_a_plan_or_a_confirmation(engine: Engine) -> None:
    path, half = "/api/v1/promotions/half", {"id": "half", "percent": "50"}
    refused = engine.http.put(path, json=half)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:pricing:plan-first")
    assert engine.http.put(path, json=half, params={"confirm": "true"}).status_code == 200
    assert engine.http.delete(path).status_code == 409
    assert engine.http.delete(path, params={"confirm": "true"}).status_code == 200


def test_an_import_is_sent_planned_applied_and_undone(engine: Engine) -> None:
    product_id = engine.put_product(category="plans")["product_id"]
    price = engine.price(product_id, user_location=HERE)["final_price"]
    rows = f"product_id,name,currency,base_price\n{product_id},Kettle,USD,70.00\n{product_id}-new,Kettle,USD,20.00\n"
    answer = engine.http.post("/api/v1/imports", content=rows, headers={"content-type": "text/csv"})
    assert answer.status_code == 202, answer.text
    sent = answer.json()
    assert (sent["created"], sent["changed"], sent["rejected"]) == (1, 1, 0)
    assert engine.http.get(f"/api/v1/imports/{sent['import_id']}").json() == sent
    plan_id = plan(engine, {"import": sent["import_id"]})
    assert reached(engine, plan_id, "ready")["result"]["created"] == 1
    engine.http.post(f"/api/v1/plans/{plan_id}/apply")
    reached(engine, plan_id, "applied")
    eventually(
        lambda: engine.price(product_id, user_location=HERE)["final_price"] == "70.00", "the imported price is served"
    )
    undo = engine.http.post("/api/v1/undo", json={"plan": plan_id}).json()["plan_id"]
    reached(engine, undo, "ready")
    engine.http.post(f"/api/v1/plans/{undo}/apply")
    reached(engine, undo, "applied")
    eventually(
        lambda: engine.price(product_id, user_location=HERE)["final_price"] == price, "the former price is served"
    )
    query = {"product_id": f"{product_id}-new"}
    eventually(lambda: engine.http.post("/api/v1/price", json=query).status_code == 404, "the product is gone")

    applied = engine.http.post(f"/api/v1/imports/{sent['import_id']}/apply").json()
    assert (applied["type"], product_id in applied["detail"]) == ("urn:pricing:stale-plan", True)
    again = engine.http.post("/api/v1/imports", content=f"product_id,base_price\n{product_id},65.00\n").json()
    applied = engine.http.post(f"/api/v1/imports/{again['import_id']}/apply").json()
    assert reached(engine, applied["plan_id"], "applied")["result"]["fall"] == 1
    eventually(
        lambda: engine.price(product_id, user_location=HERE)["final_price"] == "65.00", "the imported price is served"
    )

    wrong = engine.http.post("/api/v1/imports", content="product_id,base_price\nnone,x\n")
    assert (wrong.status_code, wrong.json()["path"]) == (422, "$.base_price")
