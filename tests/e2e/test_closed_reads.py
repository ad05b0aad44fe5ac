"""With `PRICING_REQUIRE_READ_KEY` and `PRICING_REQUIRE_METRICS_KEY`, prices and metrics are for keys."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from shared.access import keys
from shared.access.scopes import Scope
from shared.postgres import pools
from tests.support import private_stack
from tests.support.private_stack import PrivateStack
from tests.support.waiting import eventually

QUERY = {"product_id": "P-100"}


@pytest.fixture(scope="module")
def closed() -> Iterator[PrivateStack]:
    with private_stack.running(PRICING_REQUIRE_READ_KEY="true", PRICING_REQUIRE_METRICS_KEY="true") as closed:
        yield closed


def new_key(closed: PrivateStack, scope: Scope) -> tuple[int, dict[str, str]]:
    with pools.connect(closed.engine.settings, "tests") as conn:
        key_id, key = keys.create(conn, "shop", [scope], "just")
    return key_id, {"authorization": f"Bearer {key}"}


def ask(closed: PrivateStack, path: str, headers: dict[str, str]) -> httpx.Response:
    """The answer over a new connection, so that any process may give it."""
    body = {"items": [QUERY]} if path.endswith("s") else QUERY
    return closed.engine.anonymous.post(path, json=body, headers={"connection": "close"} | headers)


@pytest.mark.parametrize("path", ["/api/v1/price", "/api/v1/prices"])
def test_a_price_needs_a_key_that_may_read_prices(closed: PrivateStack, path: str) -> None:
    _, reader = new_key(closed, "prices:read")
    _, crawler = new_key(closed, "events:write")
    # Also when a process remembers the answer that the reader got.
    for _ in range(5):
        assert ask(closed, path, reader).status_code == 200
        assert ask(closed, path, closed.engine.authorized).status_code == 200
        assert ask(closed, path, {}).status_code == 401
        assert ask(closed, path, {"authorization": "Bearer nobody"}).status_code == 401
        refused = ask(closed, path, crawler)
        assert (refused.status_code, "prices:read" in refused.json()["detail"]) == (403, True)


def test_a_price_is_the_same_by_the_fast_path_and_by_the_handler(closed: PrivateStack) -> None:
    answers = [closed.engine.http.post(f"/api/v1/price{query}", json=QUERY).json() for query in ("", "", "?explain=0")]
    assert answers[1] == answers[2]


def test_a_revoked_key_reads_no_more_prices(closed: PrivateStack) -> None:
    key_id, reader = new_key(closed, "prices:read")

    def statuses() -> set[int]:
        return {ask(closed, "/api/v1/price", reader).status_code for _ in range(20)}

    assert statuses() == {200}
    with pools.connect(closed.engine.settings, "tests") as conn:
        keys.revoke(conn, key_id)
    eventually(lambda: statuses() == {401}, "every process refuses the key")


def test_metrics_need_any_key_and_health_needs_none(closed: PrivateStack) -> None:
    _, scraper = new_key(closed, "prices:read")
    assert closed.engine.anonymous.get("/metrics").status_code == 401
    assert closed.engine.anonymous.get("/metrics", headers=scraper).status_code == 200
    for path in ("/health/live", "/health/ready", "/docs/openapi.json"):
        assert closed.engine.anonymous.get(path).status_code == 200


def test_the_versions_of_the_servers_are_shown_to_operators_only(closed: PrivateStack) -> None:
    def versions(headers: dict[str, str]) -> list[bool]:
        answer = closed.engine.anonymous.get("/health/ready", headers=headers)
        assert answer.status_code == 200
        return ["version" in server for server in answer.json()["dependencies"].values()]

    (_, reader), (_, operator) = new_key(closed, "catalogue:read"), new_key(closed, "operate")
    eventually(lambda: versions(operator) == [True, True], "the process has read the newer key")
    strangers: list[dict[str, str]] = [{}, {"authorization": "Bearer nobody"}, reader]
    assert [versions(headers) for headers in strangers] == [[False, False]] * 3


def test_just_status_sends_the_key(closed: PrivateStack) -> None:
    environ = os.environ | {"PRICING_HOME": str(closed.engine.home)}
    command = [sys.executable, "-m", "deploy.native", "status"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    [line] = [line for line in done.stdout.splitlines() if "api processes" in line]
    assert "up" in line, done.stdout
    assert re.search(r"postgres.* up .*\d\d", done.stdout), done.stdout
