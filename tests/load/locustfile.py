"""What the load consists of; `just load` runs it, `just load --ui` opens Locust's own page.

Reads are named by the `source` that they were answered from: "price hit" and "price miss" for single queries,
"prices hit", "prices miss" and "prices mixed" for bulk ones. Each user asks by dice of its own, with a fixed seed.
"""

import random
import time
from itertools import count, cycle
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_throughput, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import ResponseContextManager

from tests.load import catalogue, mix

# Locust's own dice choose the tasks.
random.seed(mix.SEED)
_numbers = count()
_cold = cycle(catalogue.cold(1))
_headers: dict[str, str] = {}


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator] # Locust has no type here
def options(parser: LocustArgumentParser) -> None:
    """The run's own options."""
    parser.add_argument("--cold-products", type=int, default=1, include_in_web_ui=False, help="Made cold beforehand.")
    parser.add_argument("--key-file", default="", include_in_web_ui=False, help="Holds the API key of the writes.")


@events.init.add_listener  # type: ignore[untyped-decorator] # Locust has no type here
def prepared(environment: Any, **_: object) -> None:
    """Take the run's options."""
    global _cold
    # Each is asked for once; a run that is longer than was said starts over, and its answers then say `cache`.
    _cold = cycle(catalogue.cold(environment.parsed_options.cold_products))
    if key_file := environment.parsed_options.key_file:
        _headers["Authorization"] = f"Bearer {Path(key_file).read_text().strip()}"


class Shopper(FastHttpUser):
    """Asks for prices: mostly of what everybody looks at, now and then of what nobody has asked for yet."""

    wait_time = constant_throughput(mix.SHOPPER_PER_S)
    weight = mix.SHOPPERS
    network_timeout = connection_timeout = mix.TIMEOUT_S

    def on_start(self) -> None:
        self.dice = _arrived(mix.SHOPPER_PER_S)

    @task(mix.HOT_SINGLE)
    def hot(self) -> None:
        self._single(self.dice.choice(catalogue.HOT))

    @task(mix.COLD_SINGLE)
    def cold(self) -> None:
        self._single(next(_cold))

    @task(mix.HOT_BULK)
    def hot_bulk(self) -> None:
        self._bulk(self.dice.sample(catalogue.HOT, mix.BULK_ITEMS))

    @task(mix.COLD_BULK)
    def cold_bulk(self) -> None:
        self._bulk([next(_cold) for _ in range(mix.BULK_ITEMS)])

    def _single(self, product_id: str) -> None:
        query = self._query(product_id)
        with self.client.post("/api/v1/price", json=query, name="price", catch_response=True) as response:
            if (answer := _answered(response)) is not None:
                _rename(response, "price", [answer])

    def _bulk(self, product_ids: list[str]) -> None:
        body = {"items": [self._query(product_id) for product_id in product_ids]}
        with self.client.post("/api/v1/prices", json=body, name="prices", catch_response=True) as response:
            if (answer := _answered(response)) is None:
                return
            prices = [item["price"] for item in answer["items"] if "price" in item]
            if len(prices) < len(product_ids):
                _fail(response, "not every item has a price")
            else:
                _rename(response, "prices", prices)

    def _query(self, product_id: str) -> dict[str, object]:
        return {
            "product_id": product_id,
            "user_location": self.dice.choice(mix.LOCATIONS),
            "is_prime_member": self.dice.random() < 0.3,
            "quantity": self.dice.choice((1, 1, 1, 5, 25)),
        }


class Market(FastHttpUser):
    """Tells what happened to the products that everybody looks at."""

    wait_time = constant_throughput(mix.MARKET_PER_S)
    weight = mix.MARKETS
    network_timeout = connection_timeout = mix.TIMEOUT_S

    def on_start(self) -> None:
        self.dice = _arrived(mix.MARKET_PER_S)

    @task
    def event(self) -> None:
        product_id = self.dice.choice(catalogue.HOT)
        competitor = {"competitor": "acme", "price": f"{self.dice.randint(9000, 11000) / 100:.2f}", "currency": "USD"}
        body = {"type": "competitor_price_changed", "data": {"product_id": product_id, **competitor}, "source": "load"}
        path = "/api/v1/publish-market-event"
        with self.client.post(path, json=body, headers=_headers, name="event", catch_response=True) as response:
            if (answer := _answered(response)) is not None and answer["status"] != "published":
                _fail(response, f"the event is {answer['status']}, not published")


class Control(FastHttpUser):
    """Asks for nothing, at a steady rate: what the machine alone takes."""

    wait_time = constant_throughput(mix.CONTROL_PER_S)
    fixed_count = mix.CONTROLS
    network_timeout = connection_timeout = mix.TIMEOUT_S

    def on_start(self) -> None:
        _arrived(mix.CONTROL_PER_S)

    @task
    def live(self) -> None:
        self.client.get("/health/live", name="control")


def _arrived(per_s: float) -> random.Random:
    """A user's own dice, once it has come: by chance within a period, so that not all ask in the same instant.

    The pace counts from the user's start: what comes less than a period after it would be pulled into step again.
    """
    dice = random.Random(mix.SEED + next(_numbers))
    time.sleep((1 + dice.random()) / per_s)
    return dice


def _answered(response: ResponseContextManager) -> dict[str, Any] | None:
    """The answer's JSON; None, with the request marked as failed, where there is none."""
    if response.status_code != 200:
        if response.status_code:  # else there was no answer, and Locust knows why
            _fail(response, f"{response.status_code}: {response.text!s:.200}")
        return None
    answer: dict[str, Any] = response.json()
    return answer


def _fail(response: ResponseContextManager, reason: str) -> None:
    response.failure(reason)  # type: ignore[no-untyped-call] # Locust has no type here


def _rename(response: ResponseContextManager, kind: str, prices: list[dict[str, Any]]) -> None:
    sources = {price["source"] for price in prices}
    name = {frozenset({"cache"}): "hit", frozenset({"database"}): "miss"}.get(frozenset(sources), "mixed")
    response.request_meta["name"] = f"{kind} {name}"
