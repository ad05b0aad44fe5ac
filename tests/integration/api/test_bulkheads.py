"""Writes that hang hold up neither reads nor prices, metrics and health; beyond the limit they are refused."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import httpx
import pytest

from api.bulkheads import WRITE_THREADS
from shared.postgres import pools
from shared.settings import Settings
from tests.support.api_server import ApiServer, serving

MOST = WRITE_THREADS + 2
PRODUCT = {"product_id": "T-bulkheads", "name": "Test", "currency": "USD", "base_price": "100.00"}


@pytest.fixture
def server(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serving(settings, tmp_path_factory.mktemp("api"), PRICING_MAX_REQUESTS=MOST) as server:
        yield server


def test_writes_that_hang_starve_nothing_else(settings: Settings, server: ApiServer) -> None:
    with (
        httpx.Client(base_url=server.url, headers=server.authorized, timeout=60, trust_env=False) as http,
        ThreadPoolExecutor(3 * MOST) as callers,
        pools.connect(settings, "tests") as conn,
    ):
        path = f"/api/v1/products/{PRODUCT['product_id']}"
        assert http.put(path, json=PRODUCT).status_code == 200
        with conn.transaction():
            conn.execute("SELECT 1 FROM products WHERE product_id = %s FOR UPDATE", [PRODUCT["product_id"]])
            writes = [callers.submit(http.put, path, json=PRODUCT | {"name": str(n)}) for n in range(MOST + 3)]
            refused = next(as_completed(writes)).result()
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "writes" in refused.json()["detail"]
            assert http.post("/api/v1/price", json={"product_id": "T-bulkheads"}).status_code == 200
            scrapes = [callers.submit(http.get, "/metrics") for _ in range(MOST)]
            assert http.get(path).status_code == 200
            assert http.get("/health/live").status_code == 200
            assert {scrape.result().status_code for scrape in scrapes} == {200}
            assert 'pricing_requests_shed_total{kind="writes"}' in http.get("/metrics").text
        # Of those of the kind, some found no connection in time.
        assert {write.result().status_code for write in writes} == {200, 503}
        assert http.put(path, json=PRODUCT).status_code == 200
