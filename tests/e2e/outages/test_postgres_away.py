"""Without PostgreSQL what is cached is answered."""

from uuid import uuid4

from tests.e2e.outages.probes import an_event, get_or_none, is_applied, is_served, post, price
from tests.support.engine import Engine
from tests.support.processes import Processes


def test_without_postgres_what_is_cached_is_answered_and_the_rest_is_refused(
    engine: Engine, processes: Processes
) -> None:
    cached, uncached = (str(engine.put_product(strategy="match")["product_id"]) for _ in range(2))
    # Every process of the API has answered once, and knows the markets.
    assert {price(engine, cached).status_code for _ in range(40)} == {200}
    event = an_event(cached)
    with processes.stopped("postgres"):
        for _ in range(6):
            answer = price(engine, cached)
            assert (answer.status_code, answer.json().get("source")) == (200, "cache"), answer.text
        ready = get_or_none(engine, "GET", "/health/ready")
        assert ready is not None
        seen = ready.json()["dependencies"]
        assert seen["redis"]["status"] == "up"
        # The driver's text has hosts and users.
        assert seen["postgres"] in [{"status": "down", "error": text} for text in ("no answer", "refused or away")]
        product = {"product_id": cached, "name": "Test", "currency": "USD", "base_price": "100.00"}
        refused = {
            "an uncached price": price(engine, uncached),
            "an event": post(engine, "/api/v1/publish-market-event", event),
            "a recalculation": post(engine, "/api/v1/recalculate", {"product_ids": [cached]}),
            "a product": get_or_none(
                engine, "PUT", f"/api/v1/products/{cached}", json=product, headers=engine.authorized
            ),
            "a promotion": get_or_none(
                engine, "PUT", "/api/v1/promotions/away", json={"id": "away", "percent": 1}, headers=engine.authorized
            ),
            "the rulebook": get_or_none(engine, "GET", "/api/v1/rulebook", headers=engine.authorized),
            "a task": get_or_none(engine, "GET", f"/api/v1/tasks/{uuid4()}"),
        }
        for what, response in refused.items():
            assert response is not None, what
            assert response.status_code == 503, (what, response.text)
            assert response.headers["content-type"] == "application/problem+json", what
            assert int(response.headers["retry-after"]) > 0, what
            assert response.json()["status"] == 503, what
        both = post(engine, "/api/v1/prices", {"items": [{"product_id": cached}]})
        assert "price" in both.json()["items"][0]

    is_served(engine, uncached, "100.00")
    is_applied(engine, event)
    is_served(engine, cached, "95.00")
