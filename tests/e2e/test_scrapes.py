"""Each process of the API answers a scrape for all of them, by routes and never by products."""

import re

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.engine import Engine
from tests.support.waiting import eventually

# So that any of the processes may answer.
A_CONNECTION_OF_ITS_OWN = {"connection": "close"}


def samples(engine: Engine) -> list[Sample]:
    response = engine.http.get("/metrics", headers=A_CONNECTION_OF_ITS_OWN)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(response.text))
    return [sample for family in families for sample in family.samples]


def queries_counted(engine: Engine) -> float:
    return sum(
        sample.value
        for sample in samples(engine)
        if sample.name == "http_request_duration_seconds_count"
        and (sample.labels["route"], sample.labels["method"]) == ("/api/v1/price", "POST")
    )


def test_every_query_is_counted_whichever_process_answers(engine: Engine) -> None:
    sent = 100
    before = queries_counted(engine)
    for _ in range(sent):
        answer = engine.http.post("/api/v1/price", json={"product_id": "P-100"}, headers=A_CONNECTION_OF_ITS_OWN)
        assert answer.status_code == 200
    # A request is counted after its answer has been sent.
    # The last ones of an earlier test can be counted only now; test_metrics counts exactly.
    eventually(lambda: queries_counted(engine) >= before + sent, "all queries counted")


def test_any_process_answers_a_scrape_with_the_same(engine: Engine) -> None:
    eventually(lambda: len({queries_counted(engine) for _ in range(10)}) == 1, "ten scrapes alike")


def test_no_metric_stands_there_twice(engine: Engine) -> None:
    found = [(sample.name, *sorted(sample.labels.items())) for sample in samples(engine)]
    assert len(found) == len(set(found))


def test_the_metrics_of_the_contract_are_there(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]

    def results() -> set[str]:
        # What a process holds it asks Redis for again within the second.
        engine.price(product_id)
        return {sample.labels["result"] for sample in samples(engine) if sample.name == "pricing_cache_reads_total"}

    eventually(lambda: {"hit", "miss"} <= results(), "both are counted")
    found = {sample.name for sample in samples(engine)}
    assert {"http_request_duration_seconds_bucket", "pricing_prices_recalculated_total"} <= found


def test_a_route_is_a_template_and_never_a_product(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]
    engine.http.get(f"/api/v1/products/{product_id}")
    engine.http.get(f"/api/v1/products/{product_id}/price-history")
    engine.http.get(f"/api/v1/market-events/{product_id}")
    engine.http.get(f"/{product_id}")
    engine.http.request("BREW", f"/api/v1/products/{product_id}")

    def counted() -> list[Sample]:
        return [sample for sample in samples(engine) if sample.name == "http_request_duration_seconds_count"]

    # A request is counted after its answer has been sent.
    eventually(lambda: "unmatched" in {sample.labels["route"] for sample in counted()}, "the unknown path is counted")
    found = counted()
    routes = {sample.labels["route"] for sample in found}
    assert not any(product_id in str(sample.labels) for sample in samples(engine))
    assert not any("P-1" in route for route in routes)
    documented = {re.sub(r"{(\w+)}", "{}", path) for path in engine.http.get("/docs/openapi.json").json()["paths"]}
    assert {re.sub(r"{[^}]*}", "{}", route) for route in routes if route.startswith("/api/")} <= documented
    assert "BREW" not in {sample.labels["method"] for sample in found}
