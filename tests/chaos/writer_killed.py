"""A writer dies between its commit in PostgreSQL and its put into Redis."""

from decimal import Decimal

import httpx
import psutil

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.judge import Published
from tests.chaos.scene import Scene
from tests.chaos.traffic import Traffic
from tests.support.trap import Fate, Trap, process_at

RIGHT_S = 30.0


def _worker(scene: Scene) -> Figure:
    """The worker that applies an event."""
    worst, product_id = 0.0, scene.catalogue.hot[-1]
    for number in scene.times(3, quick=1):
        with scene.stage.to_redis.trap(_killing(scene, "worker", product_id)) as trap:
            _own_updates(scene).publish(product_id, number)
            trap.wait("a worker is killed before its put")
            took = scene.seconds_until(lambda: _is_right(scene, product_id), "the sheet is right")
        worst = max(worst, took)
        scene.whole()
    return Figure(f"right in {worst:.1f} s at worst", at_most("right", worst, RIGHT_S))


def _api(scene: Scene) -> Figure:
    """The API's process that writes a product."""
    worst = 0.0
    product_id = f"{scene.run}-own"
    product = scene.stage.engine.put_product(product_id=product_id, strategy="list_price")
    for number in scene.times(3, quick=1):
        scene.stage.engine.price(product_id)  # which fills the cache
        price = Decimal("100.00") + number
        with scene.failing(0), scene.stage.to_redis.trap(_killing(scene, "api", product_id)) as trap:
            _write(scene, product | {"base_price": str(price)})
            trap.wait("a process of the API is killed before its put")
            took = scene.seconds_until(lambda price=price: _is_right(scene, product_id, price), "the sheet is right")  # type: ignore[misc]
            scene.whole()
        worst = max(worst, took)
    return Figure(f"right in {worst:.1f} s at worst", at_most("right", worst, RIGHT_S))


def _killing(scene: Scene, program: str, product_id: str) -> Trap:
    """Kills the process of a program that puts this product's sheet; the put never arrives."""
    family = scene.stage.apps.family(program)

    def kill(port: int) -> bool:
        process: psutil.Process | None = process_at(port, family)
        if process:
            process.kill()
        return process is not None

    # A put is a script; the API's reads of the sheet are no scripts.
    return Trap((b"EVAL", f"pricing:sheet:{product_id}\r\n".encode()), Fate.CUT, act=kill)


def _own_updates(scene: Scene) -> Traffic:
    return scene.traffics[1] if len(scene.traffics) > 1 else scene.more_traffic("own", scene.catalogue.hot[-1:])


def _write(scene: Scene, product: dict[str, object]) -> None:
    """Write a product; its answer may be lost with the process that was to give it."""
    url = f"{scene.stage.engine.http.base_url}/api/v1/products/{product['product_id']}"
    try:
        httpx.put(url, json=product, headers=scene.stage.engine.authorized, trust_env=False, timeout=10)
    except httpx.TransportError:
        return


def _is_right(scene: Scene, product_id: str, price: Decimal | None = None) -> bool:
    """Whether Redis has what PostgreSQL has, which is the last price."""
    columns = "product_id, version, published_price AS price, sheet"
    row = scene.stage.engine.sql(f"SELECT {columns} FROM prices WHERE product_id = %s", product_id)[0]
    cached = scene.stage.engine.redis.get(f"pricing:sheet:{product_id}")
    stored = Published(**row, cached=cached.decode() if isinstance(cached, bytes) else None)
    wanted = scene.last[product_id] if price is None else price
    return stored.price == wanted and stored.cached == f"{stored.version}|{stored.sheet}"


CASES = (
    Case("writer-killed-worker", "kill a worker between its commit and its put", "right ≤ 30 s", _worker, (1_000, 9)),
    Case("writer-killed-api", "kill an API process between its commit and its put", "right ≤ 30 s", _api),
)
