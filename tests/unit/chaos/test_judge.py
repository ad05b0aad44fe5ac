"""The judge of the fault suite can fail: each fault that it is there for is shown to it."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import pytest

from tests.chaos import judge
from tests.chaos.cases import ALL
from tests.chaos.judge import Change, Published, Window
from tests.chaos.reader import Read, Reader
from tests.chaos.watch import Ages
from tests.support.waiting import eventually

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read(at: float, *, status: int = 200, version: int = 1, connection: int = 1, product_id: str = "a") -> Read:
    return Read(at, at + 0.5, connection, product_id, status, version, error="reset" if not status else "")


def change(version: int, old: str | None, new: str, cause: str = "event", by: str = "", at: float = 0) -> Change:
    moment = NOON + timedelta(seconds=at)
    return Change("a", version, Decimal(old) if old else None, Decimal(new), cause, by or f"e{version}", moment)


def published(price: str, version: int = 2, cached: str | None = None) -> dict[str, Published]:
    return {"a": Published("a", version, Decimal(price), "{}", cached)}


def test_answers_within_and_failures_inside_their_window_are_right() -> None:
    window = Window(10.0, 20.0, frozenset({0}))
    reads = [read(1), read(9.8, status=0), read(15, status=0), read(19.9, status=0)]
    assert judge.failed_reads(reads, [window]) == []


@pytest.mark.parametrize(
    "failed",
    [
        pytest.param(read(9.4, status=0), id="ended-before"),
        pytest.param(read(20.1, status=0), id="began-after"),
        pytest.param(read(15, status=503), id="another-status"),
        pytest.param(read(15, status=404), id="a-product-that-is-gone"),
    ],
)
def test_a_failed_read_outside_its_window_is_told(failed: Read) -> None:
    assert len(judge.failed_reads([read(1), failed], [Window(10.0, 20.0, frozenset({0}))])) == 1


def test_a_version_that_goes_back_on_one_connection_is_told() -> None:
    assert judge.versions_backwards([read(1, version=2), read(2, version=3), read(3, version=2)])


def test_connections_and_products_have_versions_of_their_own() -> None:
    reads = [read(1, version=3), read(2, version=2, connection=2), read(3, version=1, product_id="b")]
    assert judge.versions_backwards([*reads, read(4, status=503, version=0), read(5, version=3)]) == []


@pytest.mark.parametrize("status", ["received", "failed", "rejected", None])
def test_an_accepted_event_that_is_swallowed_or_ends_otherwise_is_told(status: str | None) -> None:
    statuses = {"e1": "applied", "e2": "superseded"} | ({"e3": status} if status else {})
    assert judge.unsettled_events(["e1", "e2"], statuses) == []
    (line,) = judge.unsettled_events(["e1", "e2", "e3"], statuses)
    assert (status or "lost") in line


def test_a_price_that_is_not_the_last_value_is_told() -> None:
    expected = {"a": Decimal("95.00"), "b": Decimal("96.00")}
    assert judge.wrong_prices("prices", expected, {"a": Decimal("95"), "b": Decimal("96"), "c": Decimal(1)}) == []
    assert judge.wrong_prices("prices", expected, {"a": Decimal("95"), "b": Decimal("97")})
    assert judge.wrong_prices("prices", expected, {"a": Decimal("95")})


def test_a_history_that_leads_to_the_price_is_right() -> None:
    rows = [change(1, None, "100", "import", "i"), change(2, "100", "95"), change(3, "95", "96", "task", "t")]
    assert judge.history(rows, published("96")) == []


@pytest.mark.parametrize(
    ("rows", "price"),
    [
        pytest.param([change(1, None, "100"), change(3, "97", "95")], "95", id="a-row-is-missing"),
        pytest.param([change(1, None, "100"), change(2, "100", "95")], "96", id="the-last-row-is-missing"),
        pytest.param(
            [change(1, None, "100"), change(2, "100", "95", by="e"), change(3, "95", "95", by="e")],
            "95",
            id="an-event-stands-twice",
        ),
        pytest.param(
            [change(1, None, "100", "task", "t"), change(2, "100", "95"), change(3, "95", "96", "task", "t")],
            "96",
            id="a-run-stands-twice",
        ),
        pytest.param([], "100", id="no-history"),
    ],
)
def test_a_history_with_gaps_or_doubled_rows_is_told(rows: list[Change], price: str) -> None:
    assert len(judge.history(rows, published(price))) == 1


def test_runs_one_after_the_other_are_right_and_runs_at_once_are_told() -> None:
    first = [change(1, None, "1", "task", "t1", at=1), change(2, "1", "2", "task", "t1", at=3)]
    assert judge.overlapping_runs([*first, change(3, "2", "3", "task", "t2", at=4)]) == []
    assert judge.overlapping_runs([*first, change(3, "2", "3", "task", "t2", at=2)])


def test_a_cached_sheet_may_be_missing_but_not_old() -> None:
    assert judge.stale_sheets(published("1").values()) == []
    assert judge.stale_sheets(published("1", cached="2|{}").values()) == []
    assert judge.stale_sheets(published("1", cached="1|{}").values())
    assert judge.stale_sheets(published("1", cached="garbage").values())


def test_what_stays_too_long_is_told_although_it_went_in_the_end() -> None:
    ages = Ages()
    for now in range(0, 100, 10):
        ages.look({"stays"} if now <= 70 else set(), now)
        ages.look({"stays", f"new {now}"} if now <= 70 else {"goes"}, now + 1)
    assert ages.beyond(60) == ["stays for 71 s"]


def test_what_comes_again_and_again_is_young_each_time() -> None:
    ages = Ages()
    for now in range(0, 200, 20):
        ages.look({"again"}, now)
        ages.look(set(), now + 10)
    assert ages.beyond(60) == []


@pytest.fixture
def api() -> Iterator[ThreadingHTTPServer]:
    """An API that answers version 2, then 1, then 503, then hangs up."""
    answers = iter([(200, 2), (200, 1), (503, 0)])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, version = next(answers, (0, 0))
            if not status:
                self.close_connection = True
                return
            body = json.dumps({"version": version}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the parent's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def test_the_reader_notes_every_answer_and_every_failure(api: ThreadingHTTPServer) -> None:
    with Reader(api.server_address[1], ["a"], Random(1), per_s=100, connections=1) as reader:
        eventually(lambda: len(reader.reads) >= 5, "five queries")
    seen = [(read.status, read.version, read.connection) for read in reader.reads[:5]]
    assert seen == [(200, 2, 1), (200, 1, 1), (503, 0, 1), (0, 0, 1), (0, 0, 2)]
    assert judge.versions_backwards(reader.reads)
    assert len(judge.failed_reads(reader.reads, [Window(0, time.monotonic(), frozenset({503}))])) == 1


def test_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in ALL}) == len(ALL)
