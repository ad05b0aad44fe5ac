"""What is checked on the user's own stack: nothing that writes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, cast
from urllib.parse import urljoin

import httpx

from tests.support.running_stack import RunningStack
from tests.support.waiting import eventually
from tests.verify import metrics
from tests.verify.checklist import CannotCheck, Check, timed

LINK = re.compile(r"""<(?:script|link|img|iframe)[^>]*?(?:src|href)\s*=\s*["']([^"']+)""")
FOREIGN = re.compile(r"@import|url\(\s*['\"]?(?:https?:)?//")
# A server that starts with much data loads it first.
READY_S = 30
BULK = 500
LAST = 20


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks, and writes nothing."""

    stack: RunningStack
    http: httpx.Client
    product_id: str

    def price(self, **query: object) -> dict[str, Any]:
        """A price of the product."""
        body = {"product_id": self.product_id, **query}
        answer = self.http.post("/api/v1/price?explain=true", json=body, headers=self.stack.authorized)
        if answer.status_code == 404:
            raise CannotCheck(f"there is no {self.product_id} here; --product names one")
        return cast(dict[str, Any], answer.raise_for_status().json())

    def free_price(self, **query: object) -> dict[str, Any]:
        """A price that neither floor nor ceiling holds: only such prices must differ from one another."""
        price = self.price(**query)
        if held := {step["rule"] for step in price["steps"]} & {"floor", "ceiling"}:
            raise CannotCheck(f"the {held.pop()} holds {self.product_id}'s price; --product names another")
        return price


def visitor(stack: RunningStack, http: httpx.Client, product_id: str | None) -> Visitor:
    """A visitor who asks about this product; None: about P-100 of the demo, else about the first product."""
    if product_id is None:
        asked = http.get("/api/v1/products", params={"query": "P-100", "limit": 1000}, headers=stack.authorized)
        first = http.get("/api/v1/products", params={"limit": 1}, headers=stack.authorized)
        listed = [
            each["product_id"] for answer in (asked, first) if answer.is_success for each in answer.json()["items"]
        ]
        product_id = "P-100" if "P-100" in listed or not listed else listed[-1]
    return Visitor(stack, http, product_id)


def ready(visitor: Visitor) -> str:
    states: dict[str, str] = {}

    def is_ready() -> bool:
        answer = visitor.http.get("/health/ready").json()
        states.update({name: seen["status"] for name, seen in answer["dependencies"].items()})
        return bool(answer["status"] == "ready")

    try:
        eventually(is_ready, "the stack is ready", READY_S)
    except AssertionError as late:
        raise AssertionError(f"{late}; {states}") from None
    return ", ".join(f"{name} {state}" for name, state in states.items())


def status(visitor: Visitor) -> str:
    if visitor.stack.kind == "other":
        raise CannotCheck("this stack was not started by `just up`")
    done = subprocess.run([sys.executable, "-m", "deploy", "status"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    return "exit code 0"


def cached(visitor: Visitor) -> str:
    first, first_ms = timed(visitor.price)
    again, again_ms = timed(visitor.price)
    assert again["source"] == "cache", f"the second answer is from the {again['source']}"
    assert first["final_price"] == again["final_price"] or first["version"] != again["version"], (first, again)
    return f"{first['source']} {first_ms:.1f} ms, then {again['source']} {again_ms:.1f} ms"


def members(visitor: Visitor) -> str:
    one, other = (visitor.free_price(is_prime_member=is_member) for is_member in (True, False))
    if Decimal(one["discount_rate"]) == 0:
        raise CannotCheck("the active policy takes nothing off for members")
    assert other["discount_rate"] == "0", "a discount for somebody who is no member"
    assert Decimal(one["final_price"]) < Decimal(other["final_price"]), (one["final_price"], other["final_price"])
    return f"{one['final_price']} and {other['final_price']} {one['currency']}"


def locations(visitor: Visitor) -> str:
    book = visitor.http.get("/api/v1/rulebook", headers=visitor.stack.authorized)
    if not book.is_success or len(markets := [code for code in book.json()["markets"] if code != "DEFAULT"]) < 2:
        raise CannotCheck("there are not two markets here, or no key to list them")
    answers = [visitor.free_price(user_location=location) for location in (*markets[:3], "nowhere at all")]
    assert answers[-1]["market"] == "DEFAULT", f"an unknown location is {answers[-1]['market']}"
    if len({(answer["final_price"], answer["currency"]) for answer in answers}) == 1:
        raise CannotCheck("the markets here have one price")
    return ", ".join(f"{answer['market']} {answer['final_price']}" for answer in answers)


def explanation(visitor: Visitor) -> str:
    answer = visitor.price(user_location="NY", is_prime_member=True)
    if "hidden_steps" in answer:
        raise CannotCheck("without this stack's key some steps are hidden")
    steps = answer["steps"]
    assert steps, "there are no steps"
    assert all(a["after"] == b["before"] for a, b in pairwise(steps)), f"a gap: {steps}"
    assert Decimal(steps[-1]["after"]) == Decimal(answer["final_price"]), f"it ends elsewhere: {steps}"
    return " → ".join(step["rule"] for step in steps)


def bulk(visitor: Visitor) -> str:
    visitor.price()
    items = [{"product_id": visitor.product_id, "quantity": 1 + number} for number in range(BULK)]
    response, took_ms = timed(lambda: visitor.http.post("/api/v1/prices", json={"items": items}))
    answers = response.raise_for_status().json()["items"]
    assert [answer["price"]["quantity"] for answer in answers] == [item["quantity"] for item in items]
    return f"{len(answers)} prices in {took_ms:.0f} ms"


def bad_input(visitor: Visitor) -> str:
    seen = []
    for body, expected in (
        ('{"product_id": "P-100", "quantity": 0}', (422, "$.quantity")),
        ('{"product_id": "P-100", "colour": 1}', (422, "$.colour")),
        ("no JSON", (400, "$")),
    ):
        response = visitor.http.post("/api/v1/price", content=body)
        assert response.headers["content-type"] == "application/problem+json", response.text
        problem = response.json()
        assert (response.status_code, problem["path"]) == expected, response.text
        assert {"type", "title", "status", "detail", "instance", "trace_id"} <= problem.keys(), response.text
        seen.append(f"{response.status_code} {problem['path']}")
    return ", ".join(seen)


def keys(visitor: Visitor) -> str:
    refused = [
        visitor.http.post("/api/v1/recalculate", headers=headers) for headers in ({}, {"authorization": "Bearer x"})
    ]
    assert [response.status_code for response in refused] == [401, 401], refused
    return "401 without a key, 401 with a wrong one"


def documentation(visitor: Visitor) -> str:
    page = visitor.http.get("/docs").raise_for_status().text
    links = LINK.findall(page)
    assert links, "the page has no scripts and styles"
    foreign = [
        link for link in links if httpx.URL(urljoin(visitor.stack.url, link)).netloc != visitor.http.base_url.netloc
    ]
    assert not foreign, f"the page needs {foreign}"
    texts = [page]
    for link in links:
        asset = visitor.http.get(link)
        assert asset.status_code == 200, f"{link}: {asset.status_code}"
        texts += [asset.text] if link.endswith(".css") else []
    assert not any(FOREIGN.search(text) for text in texts), "a style is fetched from elsewhere"
    operations = visitor.http.get("/docs/openapi.json").raise_for_status().json()["paths"]
    return f"{len(links)} files, none from elsewhere; {len(operations)} paths"


def counted(visitor: Visitor) -> str:
    visitor.price()
    # Others may ask meanwhile.
    return metrics.all_are_counted(visitor.http, visitor.product_id, lambda more: more >= metrics.QUERIES)


def scraped(visitor: Visitor) -> str:
    text = visitor.http.get("/metrics").raise_for_status().text
    wanted = ("http_request_duration_seconds", "pricing_cache_reads_total", "pricing_prices_recalculated_total")
    missing = [name for name in wanted if f"\n{name}" not in text]
    assert not missing, f"missing: {', '.join(missing)}"
    return ", ".join(wanted)


def last_event(visitor: Visitor) -> str:
    def look() -> tuple[str, dict[str, int]] | None:
        """The newest of the last events with lines in each service: events of one moment share one decision."""
        logs = {service: list(visitor.stack.log(service) or ()) for service in ("api", "listener", "worker")}
        accepted = list(_records(logs["api"], "event accepted"))
        if not accepted:
            raise CannotCheck("no event in the API's log yet; `just logs` shows it")
        for trace_id in [record["trace_id"] for record in reversed(accepted[-LAST:])]:
            lines = {service: _count(found, trace_id) for service, found in logs.items()}
            if all(lines.values()):
                return trace_id, lines
        return None

    trace_id, lines = eventually(look, f"lines of one of the last {LAST} events in each service")
    return f"{', '.join(f'{service} {count}' for service, count in lines.items())} lines, trace {trace_id}"


def _records(lines: Iterable[str] | None, event: str) -> Iterable[dict[str, str]]:
    for line in lines or ():
        # Docker's own prefix stands before the JSON.
        _, brace, rest = line.partition("{")
        if f'"{event}"' in rest:
            yield json.loads(brace + rest)


def _count(lines: Iterable[str] | None, trace_id: str) -> int:
    return sum(trace_id in line for line in lines or ())


CHECKS = (
    Check("ready, each dependency by name", ready),
    Check("`just status`: all runs", status),
    Check("a price, then the same from the cache", cached),
    Check("members and others apart", members),
    Check("locations apart, an unknown one is DEFAULT", locations),
    Check("the explanation goes from the list price to the answer", explanation),
    Check("500 queries at once, in their order", bulk),
    Check("bad input: a problem document with the path", bad_input),
    Check("writes need a key", keys),
    Check("/docs needs nobody else", documentation),
    Check("metrics: every query counted, whichever process answers", counted),
    Check("metrics: those of the list are there", scraped),
    Check("the last event's log lines, by its trace id", last_event),
)
