"""The limit of a key on price queries: shared by the processes of an instance, and of no effect on anybody else."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import httpx
import msgspec
import pytest

from shared.access import keys
from shared.access.rate_limits import BURST_S
from shared.postgres.pools import Pool
from shared.settings import Settings
from tests.support.api_server import serving
from tests.support.waiting import eventually

PER_S = 20
SECONDS = 4
QUERY = b'{"product_id":"no-such-product"}'
JSON = {"content-type": "application/json"}


@pytest.mark.long
@pytest.mark.parametrize("more", [{}, {"PRICING_REQUIRE_READ_KEY": "true"}])
def test_a_limit_holds_over_the_processes_of_an_instance(
    settings: Settings, pool: Pool, tmp_path_factory: pytest.TempPathFactory, more: dict[str, str]
) -> None:
    with pool.connection() as conn:
        limited_id, limited = keys.create(conn, "limited", ["prices:read"], "just", prices_per_s=PER_S)
        _, free = keys.create(conn, "free", ["prices:read"], "just")
        assert keys.view(conn, limited_id).prices_per_s == PER_S
    with serving(settings, tmp_path_factory.mktemp("api"), PRICING_API_PROCESSES=2, **more) as server:

        def asked(key: str, path: str = "/api/v1/price", body: bytes = QUERY) -> tuple[int, dict[str, str]]:
            # A connection of its own each time, so that any of the processes may answer.
            with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as http:
                http.request("POST", path, body, JSON | {"authorization": f"Bearer {key}"})
                answer = http.getresponse()
                answer.read()
                return answer.status, {name.lower(): value for name, value in answer.getheaders()}

        eventually(lambda: asked(limited)[0] in {404, 429}, "the key is known")
        answers: list[tuple[float, float, int]] = []  # sent at, received at, status
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                sent = time.monotonic()
                status = asked(limited)[0]
                answers.append((sent, time.monotonic(), status))

        def refused() -> tuple[float, float, int] | None:
            return next((each for each in list(answers) if each[2] == 429), None)

        with ThreadPoolExecutor(4) as callers:
            asking = [callers.submit(ask) for _ in range(4)]
            eventually(refused, "the bucket is empty")
            began = time.monotonic()
            eventually(lambda: time.monotonic() - began >= SECONDS, "the interval")
            stop.set()
            for each in asking:
                each.result()
        # The bucket was empty at some instant between the sending of the first refused request and its answer. Callers
        # without CPU let it fill up afterwards: over the whole time since, it never lets more through.
        first = refused()
        assert first is not None
        sent_at, refused_at, _ = first
        passed = sum(status == 404 for sent, _, status in answers if sent >= refused_at)
        assert passed <= PER_S * (max(received for _, received, _ in answers) - sent_at) * 1.02 + 4
        assert {asked(free)[0] for _ in range(20)} == {404}

        batch = msgspec.json.encode({"items": [{"product_id": "no-such-product"}] * 500})
        eventually(lambda: asked(limited, "/api/v1/prices", batch)[0] == 200, "a token is left")
        status, headers = asked(limited)
        assert status == 429
        assert int(headers["retry-after"]) >= 500 / PER_S - BURST_S - 1
        assert headers["ratelimit-policy"] == f'"prices";q={PER_S * BURST_S};w={BURST_S}'
        assert headers["ratelimit"].startswith('"prices";r=0;t=')
        assert httpx.get(f"{server.url}/health/live", trust_env=False).status_code == 200
