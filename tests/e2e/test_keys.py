"""API keys over HTTP: made once, listed without the key, revoked, and never beyond their end."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.engine import Engine
from tests.support.waiting import eventually

KEYS = "/api/v1/keys"


def made(engine: Engine, **fields: object) -> dict[str, Any]:
    response = engine.http.post(KEYS, json={"name": "crawler", "scopes": ["catalogue:read"], **fields})
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


def look(engine: Engine, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return engine.anonymous.get("/api/v1/products/P-100", headers=headers).status_code


def test_a_key_works_at_once_is_listed_without_itself_and_works_no_longer_when_revoked(engine: Engine) -> None:
    new = made(engine)
    key, view = new["key"], new["made"]
    assert look(engine, key) == 200
    page = engine.http.get(KEYS)
    assert view in page.json()["items"]
    assert key not in page.text
    assert (view["state"], view["created_by"].split()[0]) == ("live", "key")
    revoked = engine.http.delete(f"{KEYS}/{view['id']}")
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    assert engine.http.delete(f"{KEYS}/{view['id']}").json() == revoked.json()
    eventually(lambda: {look(engine, key) for _ in range(10)} == {401}, "the key is refused")


def test_a_key_is_refused_after_its_end(engine: Engine) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=5)
    key = made(engine, expires_at=ends.isoformat())["key"]
    eventually(lambda: look(engine, key) == 401, "the key has expired")
    assert datetime.now(UTC) >= ends


def test_keys_are_listed_page_by_page(engine: Engine) -> None:
    ids = [made(engine, name=f"page-{number}")["made"]["id"] for number in range(5)]
    found: list[int] = []
    page: dict[str, Any] = {"next": None}
    while not set(ids) <= set(found):
        cursor = {} if page["next"] is None else {"cursor": page["next"]}
        page = engine.http.get(KEYS, params={"limit": 2, **cursor}).json()
        found += [item["id"] for item in page["items"]]
    assert found == sorted(set(found), reverse=True)
    assert engine.http.get(KEYS, params={"cursor": "nonsense"}).status_code == 422


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": ""}, "$.name"),
        ({"name": "a\0b"}, "$.name"),
        ({"name": "x" * 101}, "$.name"),
        ({"scopes": []}, "$.scopes"),
        ({"scopes": ["everything"]}, "$.scopes[0]"),
        ({"prices_per_s": 0}, "$.prices_per_s"),
        ({"prices_per_s": 1.5}, "$.prices_per_s"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "$.expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "$.expires_at"),
        ({"key": "of-my-own-choice-and-long-enough-123"}, "$.key"),
    ],
)
def test_a_wrong_key_is_refused_with_its_field(engine: Engine, fields: dict[str, object], path: str) -> None:
    response = engine.http.post(KEYS, json={"name": "crawler", "scopes": ["operate"], **fields})
    assert (response.status_code, response.json()["path"]) == (422, path)


@pytest.mark.parametrize("key_id", [0, 2**63, "x"])
def test_an_id_that_cannot_be_one_is_refused(engine: Engine, key_id: object) -> None:
    assert engine.http.delete(f"{KEYS}/{key_id}").status_code in (404, 422)


def test_an_unknown_key_is_not_found(engine: Engine) -> None:
    assert engine.http.delete(f"{KEYS}/9007199254740991").status_code == 404


def test_no_key_is_in_a_log_or_a_trace(engine: Engine) -> None:
    name = f"secret-{uuid4()}"
    key = made(engine, name=name)["key"]
    look(engine, key)
    headers = httpx.Headers({"authorization": f"Bearer {key}x"})
    engine.anonymous.get("/api/v1/products/P-100", headers=headers)
    for path in (engine.home / "logs").glob("*.log"):
        assert key not in path.read_text(errors="replace"), path.name
