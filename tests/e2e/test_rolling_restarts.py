"""Two API instances behind the shipped HAProxy configuration, restarted in turn: no request fails. `just test-long`."""

import http.client
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy import ports
from tests.support import private_stack
from tests.support.prerequisites import need
from tests.support.private_stack import PrivateStack
from tests.support.waiting import eventually

SHIPPED = Path(__file__).parents[2] / "deploy" / "compose" / "haproxy.cfg"
CLIENTS = 50
# `PRICING_TEST_RESTARTS=10 just test-long …` restarts each instance ten times.
RESTARTS = int(os.environ.get("PRICING_TEST_RESTARTS", "2"))
# Each client asks some ten times a second: the test is about restarts, and leaves the cores to them.
PAUSE_S = 0.1
BODY = json.dumps({"product_id": "P-100"})


@contextmanager
def haproxy(folder: Path, *instances: PrivateStack) -> Iterator[int]:
    """Run HAProxy in front of the instances; yields its port."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    need("haproxy", program, "apt install haproxy")
    port = ports.free_port()
    text = SHIPPED.read_text().replace("bind :8000", f"bind 127.0.0.1:{port}")
    text = re.sub(r"resolvers docker\n(    .*\n)*", "", text)
    servers = "".join(
        f"    server api-{number} 127.0.0.1:{each.engine.settings.port} check inter 1s fall 2 rise 1\n"
        for number, each in enumerate(instances)
    )
    text, replaced = re.subn(r"    server-template .*\n", servers, text)
    assert replaced == 1
    config = folder / "haproxy.cfg"
    config.write_text(text)
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([str(program), "-f", str(config)], stdout=log, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: process.poll() is None and answers(port), "HAProxy answers")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def ask(port: int, stop: threading.Event) -> tuple[int, list[str]]:
    """Ask for prices over one connection until `stop`; the number of answers, and what went wrong.

    A request whose connection is closed before an answer is sent once more, as HTTP clients do: HAProxy closes the
    caller's connection where the instance closed its own.
    """
    answered, wrong = 0, []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stop.is_set():
        try:
            status, text = answer(connection)
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            try:
                status, text = answer(connection)
            except (http.client.HTTPException, OSError) as error:
                wrong.append(repr(error))
                connection.close()
                continue
        answered += 1
        if status != 200:
            wrong.append(f"{status} {text[:200]!r}")
        stop.wait(PAUSE_S)
    connection.close()
    return answered, wrong


def answer(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    connection.request("POST", "/api/v1/price", BODY, {"content-type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read()


def restart(instance: PrivateStack) -> None:
    """End the API by SIGTERM; its supervisor starts it again."""
    main = instance.processes.main("api")
    main.terminate()
    main.wait(timeout=60)
    eventually(lambda: answers(instance.engine.settings.port), "the API is back")


@pytest.mark.long
def test_no_request_fails_while_two_instances_are_restarted_in_turn(tmp_path: Path) -> None:
    with private_stack.running() as first:
        known = first.engine.settings
        shared = {"PRICING_DATABASE_URL": known.database_url, "PRICING_REDIS_URL": known.redis_url}
        with (
            private_stack.running(**shared, PRICING_BROKER_URL=known.redis_for("broker")) as second,
            haproxy(tmp_path, first, second) as port,
            ThreadPoolExecutor(CLIENTS) as threads,
        ):
            stop = threading.Event()
            asking = [threads.submit(ask, port, stop) for _ in range(CLIENTS)]
            try:
                for _ in range(RESTARTS):
                    for instance in (first, second):
                        restart(instance)
            finally:
                stop.set()
            outcomes = [each.result() for each in asking]
    assert [each for _, wrong in outcomes for each in wrong] == []
    assert min(answered for answered, _ in outcomes) > RESTARTS
