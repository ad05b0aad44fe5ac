"""A client of the pricing engine, to be copied: needs httpx alone.

It retries what may succeed later, bounds every wait, gives each write an `Idempotency-Key`, and follows the changes.
Amounts are strings; make them `Decimal`, never floats.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

MOST_QUERIES = 500
# The engine is busy or a server of it is away; 409 only where it says when to come back.
PASSING = {408, 429, 502, 503, 504}
LONGEST_WAIT_S = 5.0
# The stream sends something each 15 s.
SILENCE_S = 40.0


class PricingProblem(Exception):
    """The engine's answer to a request that it refuses.

    Attributes:
        status: The HTTP status.
        problem: The whole document, as in RFC 9457: `type`, `detail`, `path`, `trace_id`.
    """

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('type')}: {problem.get('detail')} (trace {problem.get('trace_id')})")
        self.status, self.problem = status, problem


class PricingClient:
    """Calls the engine; one for each process. Threads may share it."""

    def __init__(
        self,
        base_url: str,
        key: str = "",
        timeout_s: float = 2.0,
        attempts: int = 4,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """A client.

        Args:
            base_url: The engine, such as `http://localhost:8000`.
            key: An API key; empty: only what is open.
            timeout_s: The longest wait for a connection, or for the next part of an answer.
            attempts: How often a request is sent at most.
            transport: How requests are sent; None: over the network.
            sleep: Waits between attempts.
        """
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout_s, transport=transport)
        self._attempts, self._sleep = attempts, sleep

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def price(self, product_id: str, **query: Any) -> dict[str, Any]:
        """The price of a product; `query` has the further fields, such as `user_location` or `quantity`."""
        return self._sent("POST", "/api/v1/price", {"product_id": product_id, **query})

    def prices(self, queries: Sequence[dict[str, Any]]) -> list[dict[str, Any] | PricingProblem]:
        """The prices of any number of queries, in their order; a query without one has its problem in its place."""
        found: list[dict[str, Any] | PricingProblem] = []
        for start in range(0, len(queries), MOST_QUERIES):
            answer = self._sent("POST", "/api/v1/prices", {"items": queries[start : start + MOST_QUERIES]})
            for item in answer["items"]:
                error = item.get("error")
                found.append(PricingProblem(error["status"], error) if error else item["price"])
        return found

    def offer(self, product_id: str, offer_s: int, **query: Any) -> dict[str, Any]:
        """As `price`, guaranteed for so many seconds: `offer` in the answer has the token for the cart."""
        return self.price(product_id, offer_s=offer_s, **query)

    def verify(self, token: str) -> dict[str, Any]:
        """The totals of an offer: guaranteed, current and payable. One that does not hold is a PricingProblem."""
        return self._sent("POST", "/api/v1/offers/verify", {"token": token})

    def publish(self, type_: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Report a change in the market; give the `event_id` of your own system, so that it counts once."""
        event = {"event_id": str(uuid.uuid4()), **more, "type": type_, "data": data}
        return self._sent("POST", "/api/v1/publish-market-event", event)

    def write(self, method: str, path: str, body: Any = None, if_match: str = "") -> dict[str, Any]:
        """Any other write. However often it is sent, it is done once."""
        headers = {"idempotency-key": str(uuid.uuid4())} | ({"if-match": if_match} if if_match else {})
        return self._sent(method, path, body, headers)

    def read(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Any read."""
        return self._sent("GET", path, None, {}, parameters)

    def changes(self, last_id: int | None = None, **filters: Any) -> Iterator[dict[str, Any]]:
        """The changes as they happen, without end; connects again and goes on behind the last one.

        Store `change_id` once you have done what a change needs, and begin with it next time.

        Args:
            last_id: The last change that you have seen; None: begin with the next one.
            filters: `product_id`, `category` or `type`; changes of rules come with any product or category.

        Raises:
            PricingProblem: 410: the log does not go back that far; read anew, then go on behind `problem["begin"]`.
        """
        failures = 0
        while True:
            headers = {} if last_id is None else {"last-event-id": str(last_id)}
            timeout = httpx.Timeout(self._http.timeout.connect, read=SILENCE_S)
            try:
                with self._http.stream(
                    "GET", "/api/v1/price-changes", params=filters, headers=headers, timeout=timeout
                ) as answer:
                    if not answer.is_success:
                        answer.read()
                        _refuse_for_good(answer)
                        raise httpx.TransportError("the stream did not begin")
                    for line in answer.iter_lines():
                        failures = 0
                        if line.startswith("data:") and "change_id" in (change := json.loads(line[5:])):
                            last_id = change["change_id"]
                            yield change
                        elif line.startswith("id:"):
                            last_id = int(line[3:])
            except httpx.TransportError:
                pass
            failures += 1
            self._sleep(_backoff_s(failures))

    def _sent(
        self, method: str, path: str, body: Any, headers: dict[str, str] | None = None, parameters: Any = None
    ) -> dict[str, Any]:
        for attempt in range(1, self._attempts + 1):
            wait_s = _backoff_s(attempt)
            try:
                answer = self._http.request(method, path, json=body, headers=headers, params=parameters)
            except httpx.TransportError:
                if attempt == self._attempts:
                    raise
            else:
                if answer.is_success:
                    found: dict[str, Any] = answer.json() if answer.content else {}
                    return found
                if attempt == self._attempts:
                    raise _problem(answer)
                _refuse_for_good(answer)
                wait_s = max(wait_s, min(float(answer.headers.get("retry-after", 0)), LONGEST_WAIT_S))
            self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")


def _refuse_for_good(answer: httpx.Response) -> None:
    """Raise the problem of an answer that would be the same again."""
    if answer.status_code not in PASSING and not (answer.status_code == 409 and "retry-after" in answer.headers):
        raise _problem(answer)


def _problem(answer: httpx.Response) -> PricingProblem:
    is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
    return PricingProblem(answer.status_code, answer.json() if is_problem else {"detail": answer.text[:200]})


def _backoff_s(attempt: int) -> float:
    """0.1 s, 0.2 s, … up to 5 s, each shortened by chance so that callers do not come back together."""
    return min(0.1 * 2.0 ** (attempt - 1), LONGEST_WAIT_S) * random.uniform(0.5, 1)  # noqa: S311 # no secret
