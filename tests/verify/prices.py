"""Prices, on the private stack."""

from functools import partial
from statistics import median

from tests.support.private_stack import PrivateStack
from tests.verify.checklist import Check, timed

HERE = "CHI"  # its multiplier is 1
TIMES = 20
TIERS = [{"up_to": 9, "unit_price": "100.00"}, {"up_to": None, "unit_price": "90.00"}]


def miss_then_hit(private: PrivateStack) -> str:
    engine = private.engine
    products = [str(engine.put_product()["product_id"]) for _ in range(TIMES)]
    engine.price("P-100")
    misses = [timed(partial(engine.price, product_id)) for product_id in products]
    hits = [timed(partial(engine.price, product_id)) for product_id in products]
    assert {answer["source"] for answer, _ in misses} == {"database"}, "a first answer is not from the database"
    assert {answer["source"] for answer, _ in hits} == {"cache"}, "a second answer is not from the cache"
    pairs = zip(misses, hits, strict=True)
    assert all(miss["final_price"] == hit["final_price"] for (miss, _), (hit, _) in pairs), "hit and miss differ"
    return f"median of {TIMES}: {median(ms for _, ms in misses):.1f} ms, then {median(ms for _, ms in hits):.1f} ms"


def members(private: PrivateStack) -> str:
    product_id = str(private.engine.put_product()["product_id"])
    asked = [
        private.engine.price(product_id, user_location=HERE, is_prime_member=number % 2 == 0)["final_price"]
        for number in range(TIMES)
    ]
    assert set(asked[::2]) == {"95.00"}, f"members: {set(asked[::2])}"
    assert set(asked[1::2]) == {"100.00"}, f"others: {set(asked[1::2])}"
    return f"{asked[0]} and {asked[1]}, {TIMES} times in turn"


def locations(private: PrivateStack) -> str:
    product_id = str(private.engine.put_product()["product_id"])
    asked = {
        location: private.engine.price(product_id, user_location=location)["final_price"]
        for location in ("CHI", "NY", "nowhere")
    }
    assert asked == {"CHI": "100.00", "NY": "110.00", "nowhere": "95.00"}, asked
    return ", ".join(f"{location} {price}" for location, price in asked.items())


def quantities(private: PrivateStack) -> str:
    product_id = str(private.engine.put_product(tiers=TIERS)["product_id"])
    answers = [private.engine.price(product_id, user_location=HERE, quantity=quantity) for quantity in (1, 9, 10, 100)]
    asked = {answer["quantity"]: answer["total"] for answer in answers}
    assert asked == {1: "100.00", 9: "900.00", 10: "900.00", 100: "9000.00"}, asked
    return ", ".join(f"{quantity} for {total}" for quantity, total in asked.items())


CHECKS = (
    Check("a miss, then a hit", miss_then_hit),
    Check("members and others apart, from one cached sheet", members),
    Check("locations apart", locations),
    Check("quantities apart", quantities),
)
