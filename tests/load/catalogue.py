"""The load's own products: always the same ones. On the running stack they are deleted after the run.

`LOAD-H…` are hot: in Redis before the load starts, and what its market events are about. `LOAD-C…` are cold:
dropped from Redis before the load starts and each asked for once, so that PostgreSQL has to answer.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.running_stack import RunningStack

PREFIX = "LOAD-"
HOT = tuple(f"{PREFIX}H{number:04}" for number in range(200))
BULK = 500
WRITERS = 4
TIERS = [{"up_to": 9, "unit_price": "100.00"}, {"up_to": None, "unit_price": "90.00"}]


def cold(count: int) -> list[str]:
    """So many cold products."""
    return [f"{PREFIX}C{number:06}" for number in range(count)]


def prepare(stack: RunningStack, cold_count: int) -> int:
    """Write the products that are missing, make the hot ones hot and the cold ones cold; how many were written."""
    key = stack.key_file.read_text().strip()
    with httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as http:
        missing = _missing(http, [*HOT, *cold(cold_count)])
        http.headers["authorization"] = f"Bearer {key}"
        with ThreadPoolExecutor(WRITERS) as pool:
            for response in pool.map(lambda product_id: _put(http, product_id), missing):
                response.raise_for_status()
        stack.forget(f"{PREFIX}C")
        _missing(http, HOT)
    return len(missing)


def remove(stack: RunningStack, cold_count: int) -> int:
    """Delete the products; returns how many there were."""
    key = stack.key_file.read_text().strip()
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=stack.url, timeout=30, trust_env=False, headers=headers) as http:
        with ThreadPoolExecutor(WRITERS) as pool:
            ids = [*HOT, *cold(cold_count)]
            found = list(pool.map(lambda product_id: http.delete(f"/api/v1/products/{product_id}"), ids))
        for response in found:
            if response.status_code != 404:
                response.raise_for_status()
    return sum(response.status_code != 404 for response in found)


def _missing(http: httpx.Client, product_ids: Sequence[str]) -> list[str]:
    """Those that the catalogue does not have; asking for a price puts the others into Redis."""
    missing: list[str] = []
    for start in range(0, len(product_ids), BULK):
        batch = product_ids[start : start + BULK]
        response = http.post("/api/v1/prices", json={"items": [{"product_id": product_id} for product_id in batch]})
        answers = response.raise_for_status().json()["items"]
        missing += [product_id for product_id, answer in zip(batch, answers, strict=True) if "error" in answer]
    return missing


def _put(http: httpx.Client, product_id: str) -> httpx.Response:
    product = {"product_id": product_id, "name": f"Load {product_id}", "category": "load", "currency": "USD"}
    product |= {"base_price": "100.00", "cost": "60.00", "strategy": "match"}
    tiers = {"tiers": TIERS} if product_id.endswith(("0", "2", "4", "6", "8")) else {}
    return http.put(f"/api/v1/products/{product_id}", json=product | tiers)
