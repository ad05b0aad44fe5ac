"""How soon changes arrive, and whether they arrive in order."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from tests.bench.changes.arrivals import Arrivals
from tests.support.engine import Engine
from tests.support.waiting import eventually

SLEEP_S = 0.05
PRODUCTS = 10
# Promotions begin one after the other, so that their edges do not arrive together.
AHEAD_S, APART_S, LASTS_S = 4.0, 0.4, 1.0


@dataclass
class Found:
    """Milliseconds by subscriber; `control`: how late a sleep of the measuring process ends."""

    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def median(self, name: str) -> float:
        """Of one subscriber."""
        return median(self.ms[name])

    def as_json(self) -> dict[str, list[float]]:
        """All figures."""
        return {name: [round(one, 2) for one in found] for name, found in self.ms.items()}


def of_prices(engine: Engine, arrivals: Arrivals, changes: int) -> Found:
    """From the request that writes a product to the arrival of its new price."""
    product, found = engine.put_product(base_price="10.00"), Found()
    for number in range(changes):
        found.ms["control"].append(_late_ms())
        price = f"{20 + number / 100:.2f}"
        sent = time.time()
        engine.put_product(**product | {"base_price": price})
        for name, at in arrivals.first(lambda one, price=price: _has(one, product["product_id"], price)).items():  # type: ignore[misc]
            found.ms[name].append((at - sent) * 1000)
    return found


def of_edges(engine: Engine, arrivals: Arrivals, promotions: int) -> Found:
    """From the instant at which a promotion begins or ends to the arrival of that edge."""
    found, edges = Found(), list[tuple[str, str, datetime]]()
    first = datetime.now(UTC) + timedelta(seconds=AHEAD_S + 0.1 * promotions)
    for number in range(promotions):
        name = f"bench-{number}"
        opens = first + timedelta(seconds=number * APART_S)
        window = {"from": opens, "until": opens + timedelta(seconds=LASTS_S)}
        body = {"id": name, "percent": "10", **{edge: at.isoformat() for edge, at in window.items()}}
        engine.http.put(f"/api/v1/promotions/{name}", params={"confirm": True}, json=body).raise_for_status()
        edges += [(name, edge, at) for edge, at in window.items()]
    for name, edge, at in edges:
        for subscriber, arrived in arrivals.first(lambda one, edge=edge, name=name: _is_edge(one, name, edge)).items():  # type: ignore[misc]
            found.ms[subscriber].append((arrived - at.timestamp()) * 1000)
    return found


def disorder(engine: Engine, arrivals: Arrivals, changes: int) -> int:
    """Write some products again and again; those whose versions did not arrive once and in order."""
    products = [engine.put_product(base_price="10.00") for _ in range(PRODUCTS)]
    for number in range(changes):
        product = products[number % PRODUCTS]
        engine.put_product(**product | {"base_price": f"{20 + number / 100:.2f}"})
    last = {product["product_id"]: 1 + changes // PRODUCTS for product in products}
    wrong = 0
    for name in arrivals.by_subscriber:

        def versions(name: str = name) -> dict[str, list[int]]:
            seen = defaultdict[str, list[int]](list)
            for arrival in arrivals.by_subscriber[name]:
                for each in arrival.change.get("changes", ()):
                    if each["product_id"] in last:
                        seen[each["product_id"]].append(each["version"])
            return seen

        eventually(lambda: all(last[id_] in versions().get(id_, ()) for id_ in last), "the last version has arrived")
        wrong += sum(versions()[id_] != list(range(1, last[id_] + 1)) for id_ in last)
    return wrong


def _late_ms() -> float:
    began = time.perf_counter()
    time.sleep(SLEEP_S)  # what is measured
    return (time.perf_counter() - began - SLEEP_S) * 1000


def _has(change: dict[str, Any], product_id: str, price: str) -> bool:
    return any(each["product_id"] == product_id and each["new_price"] == price for each in change.get("changes", ()))


def _is_edge(change: dict[str, Any], name: str, edge: str) -> bool:
    return (change["type"], change.get("id"), change.get("edge")) == ("window", name, edge)
