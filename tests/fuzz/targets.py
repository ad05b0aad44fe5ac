"""The ways into the engine that are fuzzed. Each takes one input and raises AssertionError where the engine failed."""

import json
import math
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from random import Random
from typing import Any, ClassVar

import click
import redis
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from shared.commands.catalogue import import_file
from shared.commands.rulebook import policy, rulebook_command
from shared.messaging.channel import MARKET_EVENTS
from tests.fuzz.documents import Document, hostile
from tests.fuzz.requests import PRODUCT, requests
from tests.support.engine import Engine

ANSWER_S = 30
# Hypothesis remembers what it tried: in rounds of this many examples that stays small.
ROUND = 2_000


def drive(target: "Target", inputs: int, first_seed: int) -> None:
    """Send so many inputs; of one that fails, Hypothesis finds a smaller one and shows it.

    An example takes Hypothesis milliseconds, and its variants next to nothing.

    Raises:
        AssertionError: the engine failed.
    """
    examples = math.ceil(inputs / (1 + target.variants))
    for number, start in enumerate(range(0, examples, ROUND)):

        @seed(first_seed + number)
        @settings(
            max_examples=min(ROUND, examples - start),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        @given(target.inputs)
        def each(value: Any) -> None:
            target.send(value)
            for each_variant in range(target.variants):
                target.send(_varied(value, Random(f"{each_variant} {value!r}")))

        each()


def _varied(value: Any, rng: Random) -> Any:
    """An input with a few bytes changed: of a request, of its body."""
    if isinstance(value, tuple):
        method, request = value
        head, end, body = request.partition(b"\r\n\r\n")
        return method, head + end + (body if b"transfer-encoding" in head else _varied(body, rng))
    found = bytearray(value)
    for _ in range(rng.randint(1, 3) if found else 0):
        # The length stays, as a request's head announces it.
        found[rng.randrange(len(found))] = (
            rng.choice(b'"{}[]:,0-9.eE\\ \x00\xff') if rng.random() < 0.7 else rng.randrange(256)
        )
    return bytes(found)


class Target(ABC):
    """A way into the engine.

    Attributes:
        inputs: Its inputs.
        variants: How often each is sent again with a few other bytes.
    """

    inputs: SearchStrategy[Any]
    variants = 4

    @abstractmethod
    def send(self, value: Any) -> None:
        """Send an input."""

    def close(self) -> None:  # noqa: B027 # most targets hold nothing
        """Nothing stays open."""


class Http(Target):
    """Requests over one connection after the other."""

    def __init__(self, engine: Engine) -> None:
        self._port = engine.settings.port
        self._connection: socket.socket | None = None
        self.inputs = requests(engine.key)

    def send(self, value: tuple[str, bytes]) -> None:
        """Send a request: its answer is no error of the server, and comes in time."""
        method, request = value
        try:
            connection = self._connected()
            connection.sendall(request)
            response = HTTPResponse(connection, method=method)
            response.begin()
            body = response.read()
        except (HTTPException, ConnectionError):
            # What is no HTTP is refused by closing the connection.
            self.close()
            return
        if response.will_close:
            self.close()
        assert response.status < 500, f"{response.status} {body[:500]!r} to {request[:2_000]!r}"
        if response.status >= 400 and body:
            assert response.headers["content-type"] == "application/problem+json", request[:2_000]
            assert json.loads(body)["status"] == response.status, body

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> socket.socket:
        self._connection = self._connection or socket.create_connection(("127.0.0.1", self._port), timeout=ANSWER_S)
        return self._connection


class Channel(Target):
    """Messages on the channel; their fate is seen when a last event is applied."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._redis = redis.Redis.from_url(engine.settings.redis_for("events"), socket_timeout=ANSWER_S)
        self.inputs = hostile([_event(n) for n in range(4)])

    def send(self, value: bytes) -> None:
        """Publish a message."""
        self._redis.publish(MARKET_EVENTS, value)

    def close(self) -> None:
        """An event after all of them is applied."""
        product = self._engine.put_product()
        data = {"product_id": product["product_id"], "index": 1.1}
        event_id = self._engine.broadcast("demand_changed", data)
        found = self._engine.settled(event_id)
        assert found["status"] == "applied", found
        self._redis.close()


class Import(Target):
    """Files for `just import`, as dry runs."""

    def __init__(self, engine: Engine) -> None:
        self._settings, self._file = engine.settings, engine.home / "fuzz-import"
        self.inputs = _files()

    def send(self, value: bytes) -> None:
        """Import a file: the command ends with one of its codes."""
        self._file.write_bytes(value)
        rejects = ["--rejects", str(self._file.with_suffix(".rejects.csv"))]
        _run(import_file, [str(self._file), "--dry-run", "--skip-bad", *rejects], self._settings, value)


class Policy(Target):
    """Files for `just policy`."""

    command: ClassVar[click.Command] = policy
    arguments: ClassVar[Sequence[str]] = ()
    examples: ClassVar[Sequence[Document]] = ()

    def __init__(self, engine: Engine) -> None:
        self._settings, self._file = engine.settings, engine.home / f"fuzz-{self.command.name}"
        shown = CliRunner().invoke(self.command, [], obj=engine.settings)
        self._before = shown.stdout
        self.inputs = hostile([json.loads(self._before), *self.examples])

    def send(self, value: bytes) -> None:
        """Publish a document: it is refused by a sentence, or becomes the active one."""
        self._file.write_bytes(value)
        _run(self.command, [*self.arguments, str(self._file)], self._settings, value)

    def close(self) -> None:
        """The document of before is the active one again."""
        self._file.write_text(self._before)
        done = CliRunner().invoke(self.command, [*self.arguments, str(self._file)], obj=self._settings)
        assert done.exit_code == 0


class Rulebook(Policy):
    """Files for `just rulebook put`."""

    command, arguments = rulebook_command, ("put",)
    examples = (
        {
            "markets": {
                "DEFAULT": {},
                "DE": {"currency": "EUR", "tax_rates": {"standard": "0.19"}, "cash_step": "0.05"},
            },
            "price_lists": [
                {"id": "a", "kind": "sale", "adjustment": {"of": {"list": "b"}, "percent": "5"}},
                {"id": "b", "kind": "override", "conditions": [{"attribute": "customer_groups", "in": ["b2b"]}]},
            ],
            "promotions": [
                {"id": "p", "percent": "20", "from": "2026-11-27T00:00:00", "zone": "Europe/Berlin"},
                {"id": "q", "amount": "5", "currency": "EUR", "applies_to": {"tags": ["red"]}},
            ],
        },
    )


TARGETS: dict[str, Callable[[Engine], Target]] = {
    "http": Http,
    "channel": Channel,
    "import": Import,
    "policy": Policy,
    "rulebook": Rulebook,
}


def _run(command: Any, arguments: list[str], known: object, value: bytes) -> None:
    result = CliRunner().invoke(command, arguments, obj=known)
    is_foreseen = result.exception is None or isinstance(result.exception, SystemExit)
    assert is_foreseen, f"{result.exception!r} of {value[:2_000]!r}"
    assert result.exit_code in {0, 1, 2}, (result.exit_code, value[:2_000])


def _event(number: int) -> dict[str, Any]:
    data = [
        {"product_id": "P-100", "competitor": "acme", "price": "9.99", "currency": "USD"},
        {"product_id": "P-101", "index": 1.2},
        {"product_id": "P-102", "stock": 4},
        {"product_id": "P-103", "cost": "4.5", "currency": "USD"},
    ][number]
    kinds = ("competitor_price_changed", "demand_changed", "stock_changed", "cost_changed")
    common = {"specversion": "1.0", "id": "fuzz", "source": "fuzz", "time": "2026-01-01T00:00:00Z"}
    return common | {"type": kinds[number], "data": data}


@st.composite
def _files(draw: DrawFn) -> bytes:
    """A CSV or JSON Lines file of a few rows, or nearly one."""
    rows = draw(st.lists(hostile([PRODUCT]), min_size=1, max_size=20))
    if draw(st.booleans()):
        return b"\n".join(rows)
    cells = st.one_of(st.text(max_size=20), st.sampled_from(["1", "9.99", "USD", "1e999999", '"', '""', "=1+1", "NaN"]))
    header = draw(
        st.sampled_from(["product_id,name,currency,base_price", "product_id;name", "", "product_id,product_id"])
    )
    lines = [",".join(draw(st.lists(cells, max_size=6))) for _ in rows]
    return "\n".join([header, *lines]).encode("utf-8", "surrogatepass")
