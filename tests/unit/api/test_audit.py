"""The layer that records writes: which requests, with what outcome, and before which answer."""

import asyncio
from typing import Any, cast

import pytest

from api.edge.audit import Audit
from shared.access.audit import Entry
from shared.access.audit_log import AuditLog
from shared.access.keys import LiveKey

CALLER = LiveKey(7, "shop", frozenset({"operate"}), "")


class Log:
    """Keeps the entries, and the number of messages that were sent before each."""

    def __init__(self, sent: list[Any]) -> None:
        self.entries: list[Entry] = []
        self.before: list[int] = []
        self._sent = sent

    async def record(self, entry: Entry, wait_s: float = 1) -> None:
        self.before.append(len(self._sent))
        self.entries.append(entry)


def recorded(method: str, path: str, *, caller: LiveKey | None = CALLER, status: int | None = 200) -> Log:
    """The entries of a request; `status` None: the client goes away before its answer."""
    sent: list[Any] = []
    log = Log(sent)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if caller is not None:
            scope["user"] = caller
        if status is None:
            raise asyncio.CancelledError
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": method, "path": path}
    audit = Audit(cast(Any, app), lambda: cast(AuditLog, log))
    try:
        asyncio.run(audit(scope, cast(Any, None), send))
    except asyncio.CancelledError:
        assert status is None
    else:
        assert len(sent) == 2
    return log


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [200, 202, 403, 422, 503])
def test_a_write_is_recorded_with_its_key_and_status_before_its_answer_is_sent(method: str, status: int) -> None:
    log = recorded(method, "/api/v1/recalculate", status=status)
    [entry] = log.entries
    assert (entry.key_id, entry.key_name) == (7, "shop")
    assert (entry.request, entry.outcome) == (f"{method} /api/v1/recalculate", str(status))
    assert log.before == [0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/products/P-1"),
        ("HEAD", "/x"),
        ("OPTIONS", "/x"),
        ("POST", "/api/v1/price"),
        ("POST", "/api/v1/prices"),
    ],
)
def test_a_read_is_not_recorded(method: str, path: str) -> None:
    assert recorded(method, path).entries == []


def test_a_request_without_a_live_key_is_not_recorded() -> None:
    assert recorded("POST", "/api/v1/recalculate", caller=None, status=401).entries == []


def test_a_write_whose_caller_goes_away_is_recorded_without_an_answer() -> None:
    [entry] = recorded("PUT", "/api/v1/products/P-1", status=None).entries
    assert entry.outcome == "no answer"


def test_a_path_is_recorded_printable_and_short() -> None:
    [entry] = recorded("PUT", "/\x1b[2J" + "x" * 9_000).entries
    assert entry.request.isprintable()
    assert len(entry.request) == 500
