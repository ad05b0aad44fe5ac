"""Any printable id works over every route and command, percent-encoded in paths."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from shared.settings import Settings
from tests.integration.importing_examples import ran
from tests.support.api_server import serving

IDS = ["KD-601/MS2D", "HEADS-5 1oz Orange", "eq-9'2\"", "é/ü?#%&+;=:,{x}\\N", "😀|*", "/", "%2F", "x" * 128]


def test_every_route_and_command_takes_any_printable_id(settings: Settings, tmp_path: Path) -> None:
    rows = "".join('"{}",Odd,USD,80.00,odd/ids\n'.format(one.replace('"', '""')) for one in IDS)
    content = f"product_id,name,currency,base_price,category\n{rows}".encode()
    for outcome in (b"8 new", b"8 unchanged"):
        done = ran(settings, "import", "-", cwd=tmp_path, stdin=content)
        assert (done.returncode, outcome in done.stderr) == (0, True), done
    for name in ("odd.csv", "odd.jsonl"):
        assert ran(settings, "export", name, "--category", "odd/ids", cwd=tmp_path).returncode == 0
        done = ran(settings, "import", name, cwd=tmp_path)
        assert (done.returncode, b"8 unchanged" in done.stderr) == (0, True), done
    history = ran(settings, "history", IDS[3], cwd=tmp_path)
    assert (history.returncode, b"80.00 USD" in history.stdout) == (0, True), history
    with (
        serving(settings, tmp_path) as server,
        httpx.Client(base_url=server.url, headers=server.authorized, timeout=60, trust_env=False) as http,
    ):
        for product_id in IDS:
            _use(http, product_id)


def _use(http: httpx.Client, product_id: str) -> None:
    path = f"/api/v1/products/{quote(product_id, safe='')}"
    body: dict[str, Any] = {"product_id": product_id, "name": "Odd", "currency": "USD", "base_price": "90.00"}
    assert http.put(path, json=body).status_code == 200, product_id
    for _ in range(2):  # by the framework or the fast path, and from what the fast path remembers
        answer = http.post("/api/v1/price", json={"product_id": product_id})
        assert (answer.status_code, answer.json().get("base_price")) == (200, "90.00"), answer.text
    many = http.post("/api/v1/prices", json={"items": [{"product_id": product_id}]}).json()
    assert many["items"][0]["price"]["product_id"] == product_id
    assert http.get(path).json()["catalogue"]["product"]["product_id"] == product_id
    listed = http.get("/api/v1/products", params={"query": product_id}).json()["items"]
    assert product_id in [one["product_id"] for one in listed]
    assert http.put(f"{path}/manual-price", json={"price": "70.00", "reason": "a test"}).status_code == 200
    assert http.delete(f"{path}/manual-price").status_code == 200
    event = {"type": "stock_changed", "data": {"product_id": product_id, "stock": 3}}
    assert http.post("/api/v1/publish-market-event", json=event).status_code == 200
    assert http.post("/api/v1/recalculate", json={"product_ids": [product_id]}).status_code == 200
    changes = http.get(f"{path}/price-history").json()["changes"]
    assert "90.00" in [change["new_price"] for change in changes]
    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 404
