"""A writer dies between its commit in PostgreSQL and its put into Redis."""

from decimal import Decimal

import httpx
import psutil

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.chaos.judge import Published
from tests.chaos.traffic import Traffic
from tests.support.trap import Fate, Trap, process_at

RIGHT_S = 30.0


def _worker(context: Context) -> Figure:
    """The worker that applies an event."""
    worst, product_id = 0.0, context.catalogue.hot[-1]
    for number in context.times(3, quick=1):
        context.environment.engine.price(product_id)  # which fills the cache: it holds what was asked for
        with context.environment.to_redis.trap(_killing(context, "worker", product_id)) as trap:
            _own_updates(context).publish(product_id, number)
            trap.wait("a worker is killed before its put")
            took = context.seconds_until(lambda: _is_right(context, product_id), "the sheet is right")
        worst = max(worst, took)
        context.whole()
    return Figure(f"right in {worst:.1f} s at worst", at_most("right", worst, RIGHT_S))


def _api(context: Context) -> Figure:
    """The API's process that writes a product."""
    worst = 0.0
    product_id = f"{context.run}-own"
    product = context.environment.engine.put_product(product_id=product_id, strategy="list_price")
    for number in context.times(3, quick=1):
        context.environment.engine.price(product_id)
        price = Decimal("100.00") + number
        with context.failing(0), context.environment.to_redis.trap(_killing(context, "api", product_id)) as trap:
            _write(context, product | {"base_price": str(price)})
            trap.wait("a process of the API is killed before its put")
            took = context.seconds_until(
                lambda price=price: _is_right(context, product_id, price),  # type: ignore[misc]
                "the sheet is right",
            )
            context.whole()
        worst = max(worst, took)
    return Figure(f"right in {worst:.1f} s at worst", at_most("right", worst, RIGHT_S))


def _killing(context: Context, program: str, product_id: str) -> Trap:
    """Kills the process of a program that puts this product's sheet; the put never arrives."""
    family = context.environment.apps.family(program)

    def kill(port: int) -> bool:
        process: psutil.Process | None = process_at(port, family)
        if process:
            process.kill()
        return process is not None

    # A put is a script; the API's reads of the sheet are no scripts.
    return Trap((b"EVAL", f"pricing:sheet:{product_id}\r\n".encode()), Fate.CUT, act=kill)


def _own_updates(context: Context) -> Traffic:
    return context.traffics[1] if len(context.traffics) > 1 else context.more_traffic("own", context.catalogue.hot[-1:])


def _write(context: Context, product: dict[str, object]) -> None:
    """Write a product; its answer may be lost with the process that was to give it."""
    url = f"{context.environment.engine.http.base_url}/api/v1/products/{product['product_id']}"
    try:
        httpx.put(url, json=product, headers=context.environment.engine.authorized, trust_env=False, timeout=10)
    except httpx.TransportError:
        return


def _is_right(context: Context, product_id: str, price: Decimal | None = None) -> bool:
    """Whether Redis has what PostgreSQL has, which is the last price."""
    columns = "product_id, version, published_price AS price, sheet"
    row = context.environment.engine.sql(f"SELECT {columns} FROM prices WHERE product_id = %s", product_id)[0]
    cached = context.environment.engine.redis.get(f"pricing:sheet:{product_id}")
    stored = Published(**row, cached=cached.decode() if isinstance(cached, bytes) else None)
    wanted = context.last[product_id] if price is None else price
    return stored.price == wanted and stored.cached == f"{stored.version}|{stored.sheet}"


CASES = (
    Case("writer-killed-worker", "kill a worker between its commit and its put", "right ≤ 30 s", _worker, (1_000, 9)),
    Case("writer-killed-api", "kill an API process between its commit and its put", "right ≤ 30 s", _api),
)
