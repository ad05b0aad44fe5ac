"""The Python client of the documents beside the running stack."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import pytest

from docs.engine_client import PricingClient, PricingProblem
from tests.support.engine import Engine


@pytest.fixture
def client(engine: Engine) -> Iterator[PricingClient]:
    client = PricingClient(str(engine.http.base_url), engine.key, timeout_s=30)
    yield client
    client.close()


def test_prices_offers_events_and_writes(engine: Engine, client: PricingClient) -> None:
    product = {"product_id": f"T-{uuid4().hex[:12]}", "name": "Lamp", "currency": "USD", "base_price": "10.00"}
    client.write("PUT", f"/api/v1/products/{product['product_id']}", product)
    query = {"product_id": product["product_id"], "user_location": "CHI"}
    assert client.price(**query)["final_price"] == "10.00"
    one, missing = client.prices([query, query | {"product_id": "nobody"}])
    assert not isinstance(one, PricingProblem)
    assert isinstance(missing, PricingProblem)
    assert missing.status == 404
    token = client.offer(**query, offer_s=60)["offer"]["token"]
    assert client.verify(token)["payable"] == "10.00"
    with pytest.raises(PricingProblem, match="offer-forged"):
        client.verify(f"{token[:-4]}AAAA")
    data = {"product_id": product["product_id"], "index": "1"}
    event_id = str(uuid4())
    assert client.publish("demand_changed", data, event_id=event_id)["status"] in {"published", "stored"}
    assert client.publish("demand_changed", data, event_id=event_id)["status"] == "duplicate"
    assert client.read("/api/v1/products", query=product["product_id"])["items"]


def test_the_changes_of_a_product(engine: Engine, client: PricingClient) -> None:
    product_id = str(engine.put_product()["product_id"])
    changes = client.changes(0, product_id=product_id, type="prices")
    first = next(changes)
    engine.put_product(product_id=product_id, base_price="90.00")
    second = next(changes)
    assert first["change_id"] < second["change_id"]
    assert [Decimal(change["changes"][0]["new_price"]) for change in (first, second)] == [100, 90]
