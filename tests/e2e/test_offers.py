"""Offers over HTTP: a guaranteed price survives what happens to the price, and strangers make none."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from shared.access import keys
from shared.offers.keys import OfferKeys
from shared.postgres import pools
from tests.support.engine import Engine
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1
VERIFY = "/api/v1/offers/verify"


def engine_keys(engine: Engine) -> OfferKeys:
    return OfferKeys(engine.settings.offer_keys)


def query_of(product_id: str, **more: Any) -> dict[str, Any]:
    return {"product_id": product_id, "user_location": HERE, **more}


def priced(engine: Engine, product_id: str, **query: Any) -> dict[str, Any]:
    """The answer to a query with the admin key."""
    response = engine.http.post("/api/v1/price", json=query_of(product_id, **query))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def verified(engine: Engine, token: str) -> dict[str, Any]:
    response = engine.anonymous.post(VERIFY, json={"token": token})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def refused(engine: Engine, token: str) -> str:
    response = engine.anonymous.post(VERIFY, json={"token": token})
    assert (response.status_code, response.json()["path"]) == (422, "$.token")
    return str(response.json()["type"])


@pytest.fixture
def product(engine: Engine) -> Iterator[str]:
    yield str(engine.put_product(base_price="100.00")["product_id"])


def test_an_offer_outlives_a_dearer_price_and_follows_a_cheaper_one(engine: Engine, product: str) -> None:
    answer = priced(engine, product, quantity=3, offer_s=900)
    token = answer["offer"]["token"]
    assert len(token) <= 400
    end = datetime.fromisoformat(answer["offer"]["expires_at"])
    assert timedelta(seconds=890) < end - datetime.now(UTC) <= timedelta(seconds=900)
    for price, payable in (("100.00", "300.00"), ("120.00", "300.00"), ("90.00", "270.00")):
        engine.put_product(product_id=product, base_price=price)
        current = str(3 * int(float(price))) + ".00"

        def is_seen(current: str = current) -> bool:
            return bool(verified(engine, token)["current"] == current)

        eventually(is_seen, f"the price is {price}")
        assert verified(engine, token) == {
            "product_id": product, "quantity": 3, "currency": "USD", "guaranteed": "300.00", "current": current,
            "payable": payable, "expires_at": answer["offer"]["expires_at"],
        }  # fmt: skip
    assert engine.http.delete(f"/api/v1/products/{product}").status_code == 204
    eventually(lambda: verified(engine, token)["current"] is None, "the product is gone")
    assert verified(engine, token)["payable"] == "300.00"


def test_several_queries_have_an_offer_each_and_a_wrong_one_an_error(engine: Engine, product: str) -> None:
    items = [query_of(product, offer_s=seconds) for seconds in (60, 3601)]
    items += [query_of(product), query_of(product, offer_s=60, at="2030-01-01T00:00:00Z")]
    good, too_long, plain, not_now = engine.http.post("/api/v1/prices", json={"items": items}).json()["items"]
    assert verified(engine, good["price"]["offer"]["token"])["guaranteed"] == "100.00"
    assert "offer" not in plain["price"]
    assert (too_long["error"]["path"], not_now["error"]["path"]) == ("$.offer_s", "$.offer_s")
    assert "max_offer_s" in too_long["error"]["detail"]


def test_making_an_offer_needs_a_key_for_prices(engine: Engine, product: str) -> None:
    body = {"product_id": product, "offer_s": 60}
    assert engine.anonymous.post("/api/v1/price", json=body).status_code == 401
    with pools.connect(engine.settings, "tests") as conn:
        events, prices = (
            {"authorization": f"Bearer {keys.create(conn, 'shop', [scope], 'just')[1]}"}
            for scope in ("events:write", "prices:read")
        )
    assert engine.anonymous.post("/api/v1/price", json=body, headers=events).status_code == 403
    assert "offer" in engine.anonymous.post("/api/v1/price", json=body, headers=prices).json()
    assert engine.anonymous.post("/api/v1/price", json={"product_id": product, "offer_s": None}).status_code == 200
    for wrong in (0, -1, 1.5, "60", 31_536_001):
        response = engine.http.post("/api/v1/price", json=body | {"offer_s": wrong})
        assert (response.status_code, response.json()["path"]) == (422, "$.offer_s"), wrong


def test_wrong_offers_are_named_over_http(engine: Engine, product: str) -> None:
    token = priced(engine, product, offer_s=60)["offer"]["token"]
    header, content, signature = token.split(".")
    assert refused(engine, f"{header}.{content[:-4]}AAAA.{signature}") == "urn:pricing:offer-forged"
    ours = engine_keys(engine)
    offer = ours.read(token, now_s=0, revoked_before_s=0)
    assert refused(engine, OfferKeys("A" * 43).sign(offer)) == "urn:pricing:offer-foreign"
    assert refused(engine, ours.sign(replace(offer, exp=1))) == "urn:pricing:offer-expired"
    lines = [f'pricing_offers_verified_total{{outcome="{outcome}"}}' for outcome in ("forged", "foreign", "expired")]
    eventually(lambda: all(line in engine.http.get("/metrics").text for line in lines), "they are counted")


def test_the_public_keys_are_served_without_a_key(engine: Engine) -> None:
    served = engine.anonymous.get("/.well-known/jwks.json")
    assert served.json()["keys"] == engine_keys(engine).public()
    assert all("d" not in key for key in served.json()["keys"])


def test_a_mistaken_batch_is_revoked_in_every_process(engine: Engine, product: str) -> None:
    token = priced(engine, product, offer_s=60)["offer"]["token"]
    body = {"reason": "a wrong price list"}
    done = engine.http.post("/api/v1/offers/revoke", json=body).json()["revoked_before"]
    eventually(
        lambda: (
            {engine.anonymous.post(VERIFY, json={"token": token}).json().get("type") for _ in range(8)}
            == {"urn:pricing:offer-revoked"}
        ),
        "no process takes the offer",
    )
    eventually(
        lambda: engine.anonymous.get("/.well-known/jwks.json").json()["revoked_before"] == done, "it is published"
    )
    assert verified(engine, priced(engine, product, offer_s=60)["offer"]["token"])["payable"] == "100.00"
