"""Operating the private stack: its metrics, its importer, and what it does when something breaks."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.private_stack import PrivateStack
from tests.support.processes import is_alive
from tests.support.waiting import eventually
from tests.verify import metrics
from tests.verify.checklist import Check, timed
from tests.verify.events import competitor

HEADER = "product_id,name,currency,base_price"
ROWS = 1_000


def counted(private: PrivateStack) -> str:
    metrics.settle(private.engine.http)
    return metrics.all_are_counted(private.engine.http, "P-100", lambda more: more == metrics.QUERIES)


def workers_and_listener(private: PrivateStack) -> str:
    known = private.engine.settings
    wanted = {
        "pricing_decisions_total": known.worker_metrics_port,
        "pricing_messages_enqueued_total": known.listener_metrics_port,
    }
    for name, port in wanted.items():
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30, trust_env=False).raise_for_status().text
        assert f"\n{name}" in text, f"no {name} at port {port}"
    return ", ".join(wanted)


def imported(private: PrivateStack) -> str:
    engine = private.engine
    file = engine.home / "products.csv"
    file.write_text("\n".join([HEADER, *(f"V-{number},Kettle,USD,10.00" for number in range(ROWS))]) + "\n")
    done, took_ms = timed(lambda: _catalogue(engine.home, "import", str(file)))
    assert done.returncode == 0, done.stderr
    price = engine.price(f"V-{ROWS - 1}", user_location="CHI")
    assert price["final_price"] == "10.00", price
    return f"{ROWS:,} products in {took_ms:.0f} ms, priced"


def refused(private: PrivateStack) -> str:
    file = private.engine.home / "bad.csv"
    file.write_text(f"{HEADER}\nW-1,Kettle,USD,10.00\nW-2,Kettle,USD,-1\n")
    rejects = private.engine.home / "rejects.csv"
    done = _catalogue(private.engine.home, "import", str(file), "--rejects", str(rejects))
    assert done.returncode == 2, f"exit code {done.returncode}: {done.stderr}"
    assert "line 3, base_price" in done.stderr, f"not the line and the column: {done.stderr}"
    gone = private.engine.http.post("/api/v1/price", json={"product_id": "W-1"}).status_code
    assert gone == 404, f"a row of it was imported: {gone}"
    return "exit code 2, line and column named, no row imported"


def policy(private: PrivateStack) -> str:
    engine = private.engine
    shown = _catalogue(engine.home, "policy")
    assert shown.returncode == 0, shown.stderr
    document = engine.home / "policy.json"
    document.write_text(shown.stdout.replace('"membership_rate": "0.05"', '"membership_rate": "0.1"'))
    product_id = str(engine.put_product()["product_id"])
    done = _catalogue(engine.home, "policy", str(document))
    assert done.returncode == 0, done.stderr

    def look() -> bool:
        return bool(engine.price(product_id, user_location="CHI", is_prime_member=True)["final_price"] == "90.00")

    _, took_ms = timed(lambda: eventually(look, "members get 10 % off"))
    return f"members paid 95.00, by another policy 90.00 after {took_ms:.0f} ms"


def redis_away(private: PrivateStack) -> str:
    engine, processes = private.engine, private.processes
    product_id = str(engine.put_product(strategy="match")["product_id"])
    engine.price(product_id)
    with processes.stopped("redis"):
        eventually(lambda: engine.price(product_id)["source"] == "database", "no process holds it by itself")
        readiness = engine.http.get("/health/ready")
        assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded"), readiness.text
        published = engine.publish("competitor_price_changed", competitor(product_id))
        assert published["status"] == "stored", published
    _, ready_ms = timed(lambda: eventually(lambda: _is_ready(engine.http), "ready again"))
    event, applied_ms = timed(lambda: engine.settled(published["event_id"]))
    assert event["status"] == "applied", event
    eventually(lambda: engine.price(product_id)["source"] == "cache", "prices from the cache again")
    return (
        f"degraded, prices served, event stored; back: ready after {ready_ms:.0f} ms, applied {applied_ms:.0f} ms later"
    )


def redis_flushed(private: PrivateStack) -> str:
    engine = private.engine
    engine.price("P-101")
    engine.redis.flushall()

    def answered_from(source: str) -> None:
        eventually(lambda: engine.price("P-101")["source"] == source, f"an answer from the {source}")

    # For up to a second processes still hold it by themselves.
    _, gone_ms = timed(lambda: answered_from("database"))
    _, back_ms = timed(lambda: answered_from("cache"))
    return f"from the database after {gone_ms:.0f} ms, from the cache {back_ms:.0f} ms later"


def killed(private: PrivateStack) -> str:
    engine, processes = private.engine, private.processes
    names = ("api", "worker", "listener", "redis")
    sizes = {name: len(processes.family(name)) for name in names}
    mains = [processes.main(name) for name in names]
    for process in mains:
        process.kill()
    eventually(lambda: not any(map(is_alive, mains)), "they are gone")

    def back() -> bool:
        return all(processes.runs(name, size) for name, size in sizes.items()) and _is_ready(engine.http)

    _, took_ms = timed(lambda: eventually(back, "all of them are back"))
    product_id = str(engine.put_product(strategy="match")["product_id"])
    published = engine.publish("competitor_price_changed", competitor(product_id))
    assert engine.settled(published["event_id"])["status"] == "applied"
    return f"{', '.join(names)} back and ready after {took_ms:.0f} ms; an event is applied"


def _is_ready(http: httpx.Client) -> bool:
    try:
        return bool(http.get("/health/ready").json()["status"] == "ready")
    except httpx.TransportError:
        return False


def _catalogue(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `just import` and `just policy` run, for this home."""
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-m", "shared.commands", *arguments],
        env=machine | {"PRICING_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


CHECKS = (
    Check("metrics: exactly every query, over all processes", counted),
    Check("metrics: those of worker and listener", workers_and_listener),
    Check("`just import`: a file of products", imported),
    Check("`just import`: a bad row refuses the whole file", refused),
    Check("`just policy`: another one recalculates everything", policy),
    Check("Redis flushed: the cache refills", redis_flushed),
    Check("Redis stopped and started again", redis_away),
    Check("killed with -9: all come back", killed),
)
