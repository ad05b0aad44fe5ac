"""Without both stores an offer still holds."""

from tests.e2e.outages.probes import HERE, get_or_none, post, price
from tests.support.engine import Engine
from tests.support.processes import Processes

VERIFY = "/api/v1/offers/verify"


def test_an_offer_is_made_without_postgres_and_holds_without_both_stores(engine: Engine, processes: Processes) -> None:
    product_id = str(engine.put_product(base_price="100.00")["product_id"])
    # Every process of the API has answered once.
    assert {price(engine, product_id).status_code for _ in range(40)} == {200}
    query = {"product_id": product_id, "user_location": HERE, "offer_s": 900}
    with processes.stopped("postgres"):
        offered = post(engine, "/api/v1/price", query).json()["offer"]
        with processes.stopped("redis"):
            for _ in range(6):
                answer = post(engine, VERIFY, {"token": offered["token"]}).json()
                assert (answer["guaranteed"], answer["payable"]) == ("100.00", "100.00")
                assert answer["current"] in {"100.00", None}
            keys = get_or_none(engine, "GET", "/.well-known/jwks.json")
            assert keys is not None
            assert keys.json()["keys"]
    assert post(engine, VERIFY, {"token": offered["token"]}).json()["payable"] == "100.00"
