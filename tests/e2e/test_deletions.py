"""A product that is deleted is gone everywhere, and a new one under its id starts without its past prices."""

from functools import partial
from uuid import uuid4

from click.testing import CliRunner

from shared.commands.deleting import delete_command
from tests.e2e.bad_input.problem_documents import PRICE, problem
from tests.support.engine import Engine
from tests.support.waiting import eventually

QUERIES = 20


def delete(engine: Engine, product_id: str) -> None:
    response = engine.http.delete(f"/api/v1/products/{product_id}", headers=engine.authorized)
    assert (response.status_code, response.content) == (204, b"")


def asked(engine: Engine, product_id: str) -> set[tuple[int, str | None]]:
    """Status and list price, of every process."""
    answers = [
        engine.http.post(PRICE, json={"product_id": product_id}, headers={"connection": "close"})
        for _ in range(QUERIES)
    ]
    return {(answer.status_code, answer.json().get("base_price")) for answer in answers}


def all_answer(engine: Engine, product_id: str, price: str) -> bool:
    return asked(engine, product_id) == {(200, price)}


def test_the_command_deletes_a_category_in_every_process(engine: Engine) -> None:
    category = f"deleted {uuid4().hex[:8]}"
    ids = [str(engine.put_product(category=category)["product_id"]) for _ in range(3)]
    for product_id in ids:
        assert all_answer(engine, product_id, "100.00")
    done = CliRunner().invoke(delete_command, ["product", "--category", category], obj=engine.settings)
    assert (done.exit_code, "deleted: 3 products; price histories stay" in done.stderr) == (0, True), done.output
    for product_id in ids:
        eventually(lambda: asked(engine, product_id) == {(404, None)}, "no process has a price")  # noqa: B023 # at once
        assert engine.history(product_id)[0]["new_price"] is None


def test_a_deleted_product_is_found_nowhere(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]
    event = engine.publish("competitor_price_changed", {
        "product_id": product_id, "competitor": "acme", "price": "90.00", "currency": "USD"
    })["event_id"]  # fmt: skip
    engine.settled(event)
    engine.price(product_id)
    delete(engine, product_id)
    eventually(lambda: asked(engine, product_id) == {(404, None)}, "no process has a price")
    url = f"/api/v1/products/{product_id}"
    problem(engine.http.get(url, headers=engine.authorized), 404)
    problem(engine.http.delete(url, headers=engine.authorized), 404)
    for table, column in (("products", "product_id"), ("prices", "product_id"), ("signals", "product_id"),
                          ("repricing_queue", "target")):  # fmt: skip
        assert engine.sql(f"SELECT 1 FROM {table} WHERE {column} = %s", product_id) == [], table
    assert [change["new_price"] for change in engine.history(product_id)][-1:] == ["100.00"]


def test_a_new_product_under_a_deleted_id_never_has_the_old_price(engine: Engine) -> None:
    product = engine.put_product(base_price="100.00")
    product_id = product["product_id"]
    for base_price in ("200.00", "300.00"):
        for old in range(3):
            engine.put_product(**product | {"base_price": f"{50 + old}.00"})
        asked(engine, product_id)
        delete(engine, product_id)
        engine.put_product(**product | {"base_price": base_price})
        eventually(partial(all_answer, engine, product_id, base_price), "every process has it")
        engine.forget(product_id)
        assert asked(engine, product_id) == {(200, base_price)}


def test_an_event_for_a_deleted_product_waits_until_there_is_one_again(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]
    with engine.locked(product_id):
        event = engine.publish("demand_changed", {"product_id": product_id, "index": 2})["event_id"]
    delete(engine, product_id)
    late = engine.publish("demand_changed", {"product_id": product_id, "index": 2})["event_id"]
    engine.put_product(product_id=product_id)
    assert engine.settled(late)["status"] == "applied"
    assert engine.settled(event)["status"] in {"applied", "superseded"}


def test_a_deletion_reaches_redis_also_where_its_process_crashed(engine: Engine) -> None:
    """As a crash between PostgreSQL and Redis leaves it: the old sheet in Redis, and a task that waits."""
    product_id = engine.put_product()["product_id"]
    engine.price(product_id)
    old = engine.redis.get(f"pricing:sheet:{product_id}")
    delete(engine, product_id)
    engine.redis.set(f"pricing:sheet:{product_id}", old or b"")
    waiting = (
        "UPDATE tasks SET status = 'queued', finished_at = NULL, enqueued_at = NULL WHERE product_set @> %s::jsonb"
    )
    engine.sql(waiting, f'{{"product_ids": ["{product_id}"]}}')
    eventually(lambda: engine.redis.get(f"pricing:sheet:{product_id}") != old, "the deletion is in Redis")
    eventually(lambda: asked(engine, product_id) == {(404, None)}, "no process has a price")
