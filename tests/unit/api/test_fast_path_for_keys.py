"""The fast path where price queries need a key: it takes only the queries of keys that may read prices."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from api.edge.fast_path import FastPath, FastPathForKeys
from api.edge.tracing import RequestTrace
from api.http.answers import PRICE_PATH
from api.services import Services
from shared.access.keys import LiveKey
from tests.unit.api.price_examples import BODY, Reader

KNOWN = {
    "reads": LiveKey(1, "shop", frozenset({"prices:read"}), ""),
    "admin": LiveKey(2, "admin", frozenset({"admin"}), ""),
    "writes": LiveKey(3, "crawler", frozenset({"events:write", "catalogue:read"}), ""),
    "limited": LiveKey(4, "partner", frozenset({"prices:read"}), "", prices_per_s=10),
}


class Known:
    """The keys of a process."""

    def held(self, key: str) -> LiveKey | None:
        return KNOWN.get(key)


class Running:
    """The services that it reads."""

    keys = Known()


@pytest.mark.parametrize(
    ("authorization", "is_taken"),
    [
        ([b"Bearer reads"], True),
        ([b"bearer admin"], True),
        ([b"Bearer writes"], False),
        ([b"Bearer nobody"], False),
        ([b"Bearer \xff"], False),
        ([b"reads"], False),
        ([b""], False),
        ([], False),
        ([b"Bearer nobody", b"Bearer reads"], False),
    ],
)
def test_it_takes_only_queries_of_keys_that_may_read_prices(authorization: list[bytes], is_taken: bool) -> None:
    headers = [(b"content-type", b"application/json"), *((b"authorization", value) for value in authorization)]
    scope: Any = {"type": "http", "path": PRICE_PATH, "method": "POST", "query_string": b"", "headers": headers}
    assert FastPathForKeys(lambda: cast(Services, Running())).takes(scope) is is_taken


def test_other_paths_need_no_services() -> None:
    scope: Any = {"type": "lifespan"}
    assert not FastPathForKeys(lambda: pytest.fail("not needed")).takes(scope)


class Answering:
    """A fast path, and what it answers to the same query with different keys."""

    def __init__(self, kind: type[FastPath], reader: Reader) -> None:
        self.path = kind(lambda: cast(Services, Answerable(reader)))

    def answers(self, key: bytes) -> bool:
        """Whether it answers, also where it remembers the answer, and leaves nothing to the framework."""
        headers = [(b"content-length", b"%d" % len(BODY)), (b"authorization", b"Bearer " + key)]
        scope: Any = {"path": PRICE_PATH, "method": "POST", "query_string": b"", "headers": headers}
        message: Any = {"type": "http.request", "body": BODY, "more_body": False}
        plain = self.path.plain_body(scope, message)
        found = None if plain is None else self.path.at_once(scope, plain)
        if isinstance(found, bytes):
            return True
        trace = RequestTrace(None, (b"traceresponse", b""))
        return asyncio.run(self.path.answer(scope, message, trace, plain, found)) is not None


@dataclass
class Answerable:
    """The services of a fast path that answers."""

    reader: Reader
    keys: Known = field(default_factory=Known)


@pytest.mark.parametrize("kind", [FastPath, FastPathForKeys])
def test_queries_of_limited_keys_are_left_while_there_are_any(kind: type[FastPath], reader: Reader) -> None:
    answering = Answering(kind, reader)
    for _ in range(3):
        answering.path.leave_limited(are_there=False)
        assert [answering.answers(key) for key in (b"reads", b"limited", b"limited")] == [True] * 3
        answering.path.leave_limited(are_there=True)
        assert [answering.answers(key) for key in (b"limited", b"reads", b"limited")] == [False, True, False]
