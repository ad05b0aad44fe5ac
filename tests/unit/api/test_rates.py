"""Which bucket a request takes from, and how its caller learns of it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
import structlog

from api.edge.asgi import Edge
from api.edge.callers import Callers
from api.edge.limits import Limits
from api.edge.rates import Rates
from api.edge.tracing import RequestTraces
from api.http.answers import PRICE_PATH, PRICES_PATH
from shared.access.keys import LiveKey
from shared.access.rate_limits import Allowance, Kind, RateLimits
from tests.support.metrics import counted
from tests.unit.api.price_examples import Reader
from tests.unit.api.test_edge import App, fast_path_of, http_scope

ADDRESS = "203.0.113.9"
KNOWN = "Bearer known"


@dataclass
class Buckets:
    """Notes what is taken; the kinds in `empty` have no tokens."""

    taken: list[tuple[Kind, str]] = field(default_factory=list)
    empty: set[Kind] = field(default_factory=set)

    async def take(self, kind: Kind, caller: str) -> Allowance:
        self.taken.append((kind, caller))
        is_empty = kind in self.empty
        return Allowance(kind, is_empty, 20, 0 if is_empty else 19, 1.2, 0.4 if is_empty else 0)


@dataclass
class Caller:
    """Sends requests through an edge; `status` is what the application answers."""

    reader: Reader
    buckets: Buckets = field(default_factory=Buckets)
    includes_loopback: bool = False
    status: int = 202
    sent: list[Any] = field(default_factory=list)
    app: App = field(default_factory=App)

    def ask(
        self, path: str, method: str = "POST", address: str = ADDRESS, **headers: str
    ) -> tuple[int, dict[str, str]]:
        rates = Rates(lambda: cast(RateLimits, self.buckets), key_of, Callers([]), self.includes_loopback)
        traces = RequestTraces(0, 0, 0, lambda _: None)
        edge = Edge(cast(Any, self.answering), fast_path_of(self.reader), traces, Limits(10, 8000), rates)
        scope = http_scope(path, headers) | {"method": method, "client": (address, 4711)}

        async def receive() -> Any:
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Any) -> None:
            self.sent.append(message)

        asyncio.run(edge(cast(Any, scope), receive, send))
        start, _ = self.sent[-2:]
        return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}

    async def answering(self, scope: Any, receive: Any, send: Any) -> None:
        async def other_status(message: Any) -> None:
            await send(message | {"status": self.status} if "status" in message else message)

        await self.app(scope, receive, other_status)


def key_of(scope: Any) -> LiveKey | None:
    is_known = (b"authorization", KNOWN.encode()) in scope["headers"]
    return LiveKey(id=7, name="test", scopes=frozenset(), digest="") if is_known else None


@pytest.fixture
def caller(reader: Reader) -> Caller:
    return Caller(reader)


@pytest.mark.parametrize(
    ("method", "path", "headers", "taken"),
    [
        ("POST", "/api/v1/recalculate", {"authorization": KNOWN}, [("writes", "key:7")]),
        ("PUT", "/api/v1/products/P-1", {}, [("writes", ADDRESS)]),
        ("DELETE", "/api/v1/x", {"authorization": "Bearer bad"}, [("failed-keys", ADDRESS), ("writes", ADDRESS)]),
        ("GET", "/api/v1/tasks", {"authorization": KNOWN}, [("lists", "key:7")]),
        ("GET", "/api/v1/tasks", {}, [("lists", ADDRESS)]),
        ("GET", "/docs", {}, []),
        ("GET", "/metrics", {}, []),
        ("GET", "/metrics", {"authorization": "Bearer bad"}, [("failed-keys", ADDRESS)]),
        ("GET", "/health/live", {}, []),
        ("POST", PRICE_PATH, {}, []),
        ("POST", PRICES_PATH, {"authorization": KNOWN}, []),
    ],
)
def test_each_request_takes_from_its_callers_bucket(
    caller: Caller, method: str, path: str, headers: dict[str, str], taken: list[tuple[Kind, str]]
) -> None:
    assert caller.ask(path, method, **headers)[0] == 202
    assert caller.buckets.taken == taken


def test_addresses_of_an_ipv6_network_share_a_bucket(caller: Caller) -> None:
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
        caller.ask("/api/v1/tasks", "GET", address)
    assert [bucket for _, bucket in caller.buckets.taken] == ["2001:db8::", "2001:db8::", "2001:db8:0:1::"]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_callers_on_this_machine_are_exempt_by_default(caller: Caller, address: str) -> None:
    caller.ask("/api/v1/recalculate", address=address, authorization="Bearer bad")
    assert caller.buckets.taken == []
    caller.includes_loopback = True
    caller.ask("/api/v1/recalculate", address=address)
    assert len(caller.buckets.taken) == 1


def test_an_answer_shows_what_is_left(caller: Caller) -> None:
    _, headers = caller.ask("/api/v1/recalculate", authorization=KNOWN)
    assert headers["ratelimit-policy"] == '"writes";q=20;w=2'
    assert headers["ratelimit"] == '"writes";r=19;t=2'
    assert "retry-after" not in headers


@pytest.mark.parametrize(("kind", "authorization"), [("writes", KNOWN), ("failed-keys", "Bearer bad")])
def test_an_empty_bucket_is_429_before_the_application_is_asked(caller: Caller, kind: Kind, authorization: str) -> None:
    caller.buckets.empty.add(kind)
    status, headers = caller.ask("/api/v1/recalculate", authorization=authorization)
    assert (status, headers["retry-after"], headers["ratelimit"]) == (429, "1", f'"{kind}";r=0;t=2')
    assert msgspec.json.decode(caller.sent[-1]["body"])["type"] == "urn:pricing:rate-limited"
    assert caller.app.seen == []


def test_failed_keys_are_counted_and_logged_once_a_second_at_most(caller: Caller) -> None:
    rates = Rates(lambda: cast(RateLimits, caller.buckets), key_of, Callers([]))
    before = counted("pricing_failed_keys_total")
    scope = cast(Any, http_scope("/api/v1/tasks", {"authorization": "Bearer secret"}) | {"client": (ADDRESS, 1)})
    with structlog.testing.capture_logs() as lines:
        for status in (401, 401, 200, 403, 401):
            rates.note(scope, status)
        rates.note(cast(Any, http_scope("/api/v1/tasks", {})), 401)
    assert counted("pricing_failed_keys_total") == before + 3
    assert [(line["event"], line["address"]) for line in lines] == [("key refused", ADDRESS)]
    assert "secret" not in str(lines)
