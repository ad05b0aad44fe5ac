"""Access over HTTP: an operation needs its scope, strangers see no costs, every process refuses a revoked key."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.access import keys
from shared.access.scopes import SCOPES, Scope
from shared.postgres import pools
from tests.support.engine import Engine
from tests.support.waiting import eventually

HOLD = "0d8f0f0e-164b-41c9-bcd8-c54779a2321b"
PLAN = "6a1c7d02-164b-41c9-bcd8-c54779a2321b"
IMPORT = "5c0f7a0e-164b-41c9-bcd8-c54779a2321b"
NOBODY = "f4b60373-164b-41c9-bcd8-c54779a2321b"
DEMAND = {"type": "demand_changed", "data": {"product_id": "P-100", "index": 1}}
MARKET = {"type": "market_changed", "data": {"market": "ACCESS", "multiplier": 1}}
EVENTS = "/api/v1/publish-market-event"
# A stream that begins would not end.
NO_STREAM = {"last-event-id": "none"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
# An undo is a plan, which shows prices.
SECOND_SCOPES: dict[str, Scope] = {"/api/v1/undo": "catalogue:read"}
# The operations that need a key, and the first scope of their guards.
GUARDED: list[tuple[str, str, Scope]] = [
    ("GET", "/api/v1/products/P-100", "catalogue:read"),
    ("GET", "/api/v1/products/P-100/price-history", "catalogue:read"),
    ("PUT", "/api/v1/products/P-100", "catalogue:write"),
    ("DELETE", "/api/v1/products/ACCESS-GONE", "catalogue:write"),
    ("GET", f"/api/v1/tasks/{NOBODY}", "catalogue:read"),
    ("DELETE", f"/api/v1/tasks/{NOBODY}", "operate"),
    ("GET", "/api/v1/market-events/nobody", "catalogue:read"),
    ("POST", EVENTS, "events:write"),
    ("POST", "/api/v1/recalculate", "operate"),
    ("POST", "/api/v1/keys", "admin"),
    ("GET", "/api/v1/holds", "catalogue:read"),
    ("GET", "/api/v1/breaker", "catalogue:read"),
    ("GET", "/api/v1/automation", "catalogue:read"),
    ("POST", "/api/v1/automation/pause", "operate"),
    ("POST", "/api/v1/automation/resume", "operate"),
    ("PUT", "/api/v1/products/P-100/manual-price", "catalogue:write"),
    ("DELETE", "/api/v1/products/P-100/manual-price", "catalogue:write"),
    ("POST", "/api/v1/breaker/reset", "operate"),
    ("POST", f"/api/v1/holds/{HOLD}/approve", "operate"),
    ("POST", f"/api/v1/holds/{HOLD}/refuse", "operate"),
    ("POST", "/api/v1/holds/approve", "operate"),
    ("POST", "/api/v1/holds/refuse", "operate"),
    ("GET", "/api/v1/plans", "catalogue:read"),
    ("POST", "/api/v1/plans", "catalogue:read"),
    ("GET", f"/api/v1/plans/{PLAN}", "catalogue:read"),
    ("GET", f"/api/v1/plans/{PLAN}/items", "catalogue:read"),
    ("POST", f"/api/v1/plans/{PLAN}/apply", "catalogue:read"),
    ("POST", f"/api/v1/plans/{PLAN}/discard", "catalogue:read"),
    ("POST", "/api/v1/undo", "operate"),
    ("POST", "/api/v1/imports", "catalogue:write"),
    ("GET", f"/api/v1/imports/{IMPORT}", "catalogue:read"),
    ("POST", f"/api/v1/imports/{IMPORT}/apply", "catalogue:write"),
    ("POST", "/api/v1/offers/revoke", "operate"),
    ("GET", "/api/v1/price-changes", "prices:read"),
    ("GET", "/api/v1/webhooks", "operate"),
    ("GET", "/api/v1/webhooks/no-webhook", "operate"),
    ("PUT", "/api/v1/webhooks/no-webhook", "operate"),
    ("DELETE", "/api/v1/webhooks/no-webhook", "operate"),
    ("POST", "/api/v1/webhooks/no-webhook/test", "operate"),
    ("POST", "/api/v1/webhooks/no-webhook/replay", "operate"),
    ("POST", "/api/v1/webhooks/no-webhook/resume", "operate"),
    ("POST", "/api/v1/webhooks/no-webhook/rotate-secret", "operate"),
    ("GET", "/api/v1/products", "catalogue:read"),
    ("GET", "/api/v1/tasks", "catalogue:read"),
    ("GET", "/api/v1/market-events", "catalogue:read"),
    ("GET", "/api/v1/price-lists/no-list/entries", "catalogue:read"),
    ("PUT", "/api/v1/price-lists/no-list/entries", "rules:write"),
    ("GET", "/api/v1/keys", "admin"),
    ("GET", "/api/v1/audit-log", "admin"),
    ("DELETE", "/api/v1/keys/9007199254740991", "admin"),
    ("GET", "/api/v1/rulebook", "catalogue:read"),
    ("GET", "/api/v1/rulebook/versions", "catalogue:read"),
    ("GET", "/api/v1/rulebook/diff", "catalogue:read"),
    ("PUT", "/api/v1/policy", "rules:write"),
    ("PUT", "/api/v1/markets/NOWHERE", "rules:write"),
    ("DELETE", "/api/v1/markets/NOWHERE", "rules:write"),
    ("PUT", "/api/v1/price-lists/no-list", "rules:write"),
    ("DELETE", "/api/v1/price-lists/no-list", "rules:write"),
    ("PUT", "/api/v1/promotions/no-promotion", "rules:write"),
    ("DELETE", "/api/v1/promotions/no-promotion", "rules:write"),
    ("PUT", "/api/v1/exchange-rates", "rules:write"),
    ("DELETE", "/api/v1/exchange-rates/XAF/XOF", "rules:write"),
]
NewKey = Callable[..., dict[str, str]]


@pytest.fixture
def new_key(engine: Engine) -> NewKey:
    """Makes keys; the header with a new one."""

    def make(*scopes: Scope) -> dict[str, str]:
        with pools.connect(engine.settings, "tests") as conn:
            return {"authorization": f"Bearer {keys.create(conn, 'shop', scopes, 'just')[1]}"}

    return make


def test_every_operation_that_needs_a_key_is_in_this_list(engine: Engine) -> None:
    found = {
        (method.upper(), path, operation["security"][0]["key"][0])
        for path, item in engine.http.get("/docs/openapi.json").json()["paths"].items()
        for method, operation in item.items()
        if {} not in operation.get("security", [{}])
    }
    names = {"P-100": "{product_id}", "ACCESS-GONE": "{product_id}", "nobody": "{event_id}"}
    names |= {
        HOLD: "{hold_id}",
        PLAN: "{plan_id}",
        IMPORT: "{import_id}",
        NOBODY: "{task_id}",
        "9007199254740991": "{key_id}",
        "NOWHERE": "{code}",
    }
    names |= {
        "no-list": "{list_id}",
        "no-promotion": "{promotion_id}",
        "no-webhook": "{webhook_id}",
        "XAF": "{source}",
        "XOF": "{target}",
    }
    assert found == {
        (method, "/".join(names.get(part, part) for part in path.split("/")), scope) for method, path, scope in GUARDED
    }


@pytest.mark.parametrize(("method", "path", "scope"), GUARDED)
def test_an_operation_needs_its_scope_and_names_it(
    engine: Engine, new_key: NewKey, method: str, path: str, scope: Scope
) -> None:
    body = DEMAND if path == EVENTS else {}
    assert engine.anonymous.request(method, path, json=body).status_code == 401
    others = new_key(*(each for each in SCOPES if each not in (scope, "admin"))) | NO_STREAM
    refused = engine.anonymous.request(method, path, json=body, headers=others)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:pricing:forbidden")
    assert f"needs the scope {scope};" in refused.json()["detail"]
    needed = (scope, SECOND_SCOPES.get(path, scope))
    for allowed in (new_key(*needed), new_key("admin")):
        answer = engine.anonymous.request(method, path, json=body, headers=allowed | NO_STREAM)
        assert answer.status_code not in (401, 403)


@pytest.mark.parametrize(
    ("event", "scope"), [(MARKET, "rules:write"), (None, "operate"), ({"type": "recalculation_requested"}, "operate")]
)
def test_an_event_that_changes_more_than_a_signal_needs_a_second_scope(
    engine: Engine, new_key: NewKey, event: dict[str, Any] | None, scope: Scope
) -> None:
    def send(*scopes: Scope) -> httpx.Response:
        return (
            engine.anonymous.post(EVENTS, json=event, headers=new_key(*scopes))
            if event
            else engine.anonymous.post(EVENTS, headers=new_key(*scopes))
        )

    refused = send("events:write")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:pricing:forbidden")
    assert f"needs the scope {scope};" in refused.json()["detail"]
    assert send(scope).status_code == 403
    assert send("events:write", scope).status_code == 200


def test_in_a_batch_only_the_event_that_needs_more_is_refused(engine: Engine, new_key: NewKey) -> None:
    known = {"specversion": "1.0", "source": "test"}
    events = [{**known, "id": str(uuid4()), **event} for event in (DEMAND, MARKET)]
    answer = engine.anonymous.post(EVENTS, json=events, headers=new_key("events:write") | BATCH)
    one, other = answer.json()["items"]
    assert (answer.status_code, one["status"], other["error"]["status"]) == (200, "published", 403)


def test_a_price_needs_no_key_and_is_the_same_for_everybody(engine: Engine, new_key: NewKey) -> None:
    product_id = str(engine.put_product(cost="40.00")["product_id"])
    engine.price(product_id)
    body = {"product_id": product_id}
    for headers in ({}, new_key("prices:read"), new_key("admin"), {"authorization": "Bearer nobody"}):
        price = engine.anonymous.post("/api/v1/price", json=body, headers=headers).json()
        assert price == engine.price(product_id)


def parts(price: dict[str, Any]) -> int:
    """The number of steps and rejections of an explanation."""
    return len(price["steps"]) + len(price["rejected"])


@pytest.mark.parametrize("path", ["/api/v1/price", "/api/v1/prices"])
@pytest.mark.parametrize("explain", ["true", "1"])
def test_an_explanation_shows_costs_only_to_keys_that_may_read_the_catalogue(
    engine: Engine, new_key: NewKey, path: str, explain: str
) -> None:
    """Also when the one asks after the other, and to whichever process."""
    product = engine.put_product(base_price="100.00", cost="190.00")
    query = {"product_id": product["product_id"], "user_location": "CHI"}
    body = {"items": [query]} if path.endswith("s") else query

    def explained(headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
        headers = headers | {"connection": "close"}
        answer = engine.anonymous.post(path, params={"explain": explain}, json=body, headers=headers)
        price = answer.json()
        return answer.text, price["items"][0]["price"] if path.endswith("s") else price

    reader, stranger = new_key("catalogue:read", "prices:read"), new_key("prices:read", "events:write")
    for _ in range(4):
        text, full = explained(reader)
        assert {"floor"} <= {step["rule"] for step in full["steps"]}
        assert "hidden_steps" not in full
        for headers in ({}, stranger):
            text, public = explained(headers)
            assert [step["rule"] for step in public["steps"]] == ["market"]
            assert public["hidden_steps"] == parts(full) - parts(public)
            assert "floor" not in text
            assert "cost" not in text
        assert public["final_price"] == full["final_price"]


def test_an_explanation_for_a_wrong_key_is_refused(engine: Engine) -> None:
    headers = {"authorization": "Bearer nobody"}
    answer = engine.anonymous.post("/api/v1/price?explain=true", json={"product_id": "P-100"}, headers=headers)
    assert answer.status_code == 401


def test_a_revoked_key_is_refused_by_every_process(engine: Engine) -> None:
    with pools.connect(engine.settings, "tests") as conn:
        key_id, key = keys.create(conn, "shop", ["catalogue:read"], "just")

    def statuses() -> set[int]:
        headers = {"authorization": f"Bearer {key}", "connection": "close"}
        return {engine.anonymous.get("/api/v1/products/P-100", headers=headers).status_code for _ in range(20)}

    assert statuses() == {200}
    with pools.connect(engine.settings, "tests") as conn:
        keys.revoke(conn, key_id)
    eventually(lambda: statuses() == {401}, "every process refuses the key")


def test_the_last_use_of_a_key_is_stored(engine: Engine, new_key: NewKey) -> None:
    header = new_key("catalogue:read")
    assert engine.anonymous.get("/api/v1/products/P-100", headers=header).status_code == 200
    digest = keys.digest_of(header["authorization"].removeprefix("Bearer "))
    used = "SELECT 1 FROM api_keys WHERE key_hash = %s AND last_used_at IS NOT NULL"
    eventually(lambda: engine.sql(used, digest), "the last use is stored")
