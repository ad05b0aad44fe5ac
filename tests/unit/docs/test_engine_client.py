"""The Python client of the documents: what it sends again, and how long it waits."""

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

import httpx
import pytest

from docs.engine_client import LONGEST_WAIT_S, PricingClient, PricingProblem

Answer = httpx.Response | Exception
PROBLEM = {"content-type": "application/problem+json"}


class Server:
    """Gives its answers in order, and keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.requests, self.waits = list(answers), list[httpx.Request](), list[float]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def client(self) -> PricingClient:
        return PricingClient("http://x", "key", transport=httpx.MockTransport(self), sleep=self.waits.append)


def refusal(status: int, **headers: str) -> httpx.Response:
    problem = json.dumps({"type": "urn:pricing:x", "detail": "d", "status": status, "begin": 7})
    return httpx.Response(status, text=problem, headers=PROBLEM | {k.replace("_", "-"): v for k, v in headers.items()})


def price() -> httpx.Response:
    return httpx.Response(200, json={"final_price": "1.00"})


@pytest.mark.parametrize("first", [refusal(503, retry_after="1"), refusal(429), httpx.ReadTimeout("late")])
def test_what_may_succeed_later_is_sent_again(first: Answer) -> None:
    server = Server(first, price())
    assert server.client.price("P-1")["final_price"] == "1.00"
    assert len(server.waits) == 1


def test_retry_after_is_kept_and_bounded() -> None:
    server = Server(refusal(503, retry_after="1"), refusal(503, retry_after="600"), price())
    server.client.price("P-1")
    assert server.waits == [1, LONGEST_WAIT_S]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422])
def test_what_would_be_refused_again_is_not_sent_again(status: int) -> None:
    server = Server(refusal(status))
    with pytest.raises(PricingProblem) as raised:
        server.client.price("P-1")
    assert (raised.value.status, len(server.requests)) == (status, 1)


@pytest.mark.parametrize(
    ("answer", "raised"),
    [(lambda: refusal(503), PricingProblem), (lambda: httpx.ConnectError("no"), httpx.ConnectError)],
)
def test_it_gives_up_in_the_end(answer: Callable[[], Answer], raised: type[Exception]) -> None:
    server = Server(*(answer() for _ in range(4)))
    with pytest.raises(raised):
        server.client.price("P-1")


def test_a_write_keeps_its_idempotency_key_and_another_has_its_own() -> None:
    busy = refusal(409, retry_after="1")
    server = Server(busy, httpx.Response(200, json={}), httpx.Response(204))
    client = server.client
    client.write("POST", "/api/v1/recalculate", {})
    assert client.write("DELETE", "/api/v1/products/P-1", if_match='"a"') == {}
    first, again, other = (request.headers["idempotency-key"] for request in server.requests)
    assert first == again != other
    assert server.requests[2].headers["if-match"] == '"a"'


def test_an_event_that_is_sent_again_has_the_same_id() -> None:
    server = Server(refusal(503), httpx.Response(200, json={"status": "published"}))
    server.client.publish("demand_changed", {"product_id": "P-1", "index": "1.2"})
    first, again = (json.loads(request.content)["event_id"] for request in server.requests)
    assert first == again


def test_many_queries_are_split_and_keep_their_order() -> None:
    def answers(start: int, number: int) -> httpx.Response:
        items: list[dict[str, Any]] = [{"price": {"n": start + n}} for n in range(number)]
        items[0] = {"error": {"status": 404, "type": "urn:pricing:not-found"}}
        return httpx.Response(200, json={"items": items})

    server = Server(answers(0, 500), answers(500, 1))
    found = server.client.prices([{"product_id": str(n)} for n in range(501)])
    assert found[1] == {"n": 1}
    assert [each.status for each in (found[0], found[500]) if isinstance(each, PricingProblem)] == [404, 404]


def stream(*events: str) -> httpx.Response:
    return httpx.Response(200, text="".join(events))


def event(change_id: int) -> str:
    return f'event: prices\ndata: {{"type": "prices", "change_id": {change_id}}}\nid: {change_id}\n\n'


def test_a_stream_goes_on_behind_the_last_change() -> None:
    server = Server(
        stream(event(1), 'event: end\ndata: {"reason": "shutdown"}\n\n'),
        httpx.ConnectError("no"),
        refusal(503),
        stream("id: 4\n\n"),
        stream(event(5)),
    )
    found = [change["change_id"] for change in islice(server.client.changes(category="tv"), 2)]
    assert found == [1, 5]
    sent = [request.headers.get("last-event-id") for request in server.requests]
    assert sent == [None, "1", "1", "1", "4"]
    assert {request.url.params["category"] for request in server.requests} == {"tv"}


def test_a_stream_that_cannot_go_on_says_where_to_begin() -> None:
    with pytest.raises(PricingProblem) as raised:
        next(Server(refusal(410)).client.changes(3))
    assert raised.value.problem["begin"] == 7
