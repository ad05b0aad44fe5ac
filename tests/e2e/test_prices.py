"""Price queries against the running stack."""

from itertools import permutations

from tests.support.engine import Engine


def test_the_first_answer_is_from_the_database_and_the_next_from_the_cache(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]
    assert engine.price(product_id)["source"] == "database"
    assert engine.price(product_id)["source"] == "cache"


def test_no_query_ever_answers_for_another_one(engine: Engine) -> None:
    """Member and not, New York and Miami, one and a hundred: warm or cold, in any order."""
    tiers = [{"up_to": 9, "unit_price": "100.00"}, {"up_to": None, "unit_price": "80.00"}]
    product_id = engine.put_product(tiers=tiers)["product_id"]
    expected = {
        ("NY", False, 1): "110.00",
        ("MIA", False, 1): "98.00",
        ("NY", True, 1): "104.50",
        ("MIA", True, 100): "74.48",
    }
    for order in permutations(expected):
        engine.forget(product_id)
        for location, member, quantity in order:
            answer = engine.price(product_id, user_location=location, is_prime_member=member, quantity=quantity)
            assert answer["final_price"] == expected[location, member, quantity]
            assert (answer["market"], answer["quantity"]) == (location, quantity)
