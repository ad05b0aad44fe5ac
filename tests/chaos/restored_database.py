"""The database is restored from a backup under the running engine."""

import os
import subprocess
import tempfile
from pathlib import Path

import httpx

from deploy.native import postgres_server
from tests.chaos import judgement
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import FLOWING, Context
from tests.support import backup
from tests.support.waiting import eventually

RIGHT_S = 5.0
SHOWN = 40
AFTERWARDS = 20  # accepted updates


def _restored(context: Context) -> Figure:
    context.traffic.stop()  # what was accepted after the backup would be lost with it
    assert not (wrong := judgement.settled(context)), wrong
    with tempfile.TemporaryDirectory() as folder:
        dump = str(Path(folder) / "dump")
        _run(context, "pg_dump", "-Fc", "-f", dump)
        before = context.plain_price
        context.ended(context.recalculate())
        eventually(lambda: _is_served(context), "the prices of after the backup are served")
        context.restored_from = len(context.reader.reads)
        eventually(lambda: _restore(context, dump), "the backup is restored")
    context.plain_price = before
    took = context.seconds_until(lambda: _is_served(context), "the prices of the backup are served")
    context.restored_to = len(context.reader.reads)
    with context.more_traffic("after", context.catalogue.hot[FLOWING:]) as traffic:
        eventually(lambda: len(traffic.accepted) >= AFTERWARDS, "updates are accepted again")
    return Figure(
        f"{len(context.catalogue.plain)} prices went back; the backup's are served after {took:.1f} s",
        at_most("the backup's prices are served", took, RIGHT_S),
    )


def _restore(context: Context, dump: str) -> bool:
    """Restore; False where PostgreSQL ended the restore in favour of one of the engine's transactions."""
    try:
        binaries = postgres_server.binaries(context.environment.engine.home, os.environ)
        backup.restore(binaries, context.environment.engine.settings.database_url, dump)
    except subprocess.CalledProcessError as error:
        context.say(f"not restored: {error.stderr.strip()}")
        return False
    return True


def _run(context: Context, tool: str, *arguments: str) -> None:
    program = postgres_server.binaries(context.environment.engine.home, os.environ) / tool
    command = [str(program), "-d", context.environment.engine.settings.database_url, *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _is_served(context: Context) -> bool:
    """Whether several connections get the current price of plain products."""
    url = f"{context.environment.engine.http.base_url}/api/v1/prices"
    items = [{"product_id": id_, "user_location": judgement.HERE} for id_ in context.catalogue.plain[:SHOWN]]
    for _ in range(4):
        answer = httpx.post(url, json={"items": items}, trust_env=False, timeout=10)
        if answer.status_code != 200:
            return False
        if {item["price"]["final_price"] for item in answer.json()["items"]} != {str(context.plain_price)}:
            return False
    return True


CASES = (
    Case(
        "restored-database",
        "a backup restored under the running engine",
        "the backup's prices ≤ 5 s from every process and from Redis, no failed read",
        _restored,
        products=(1_000, 16),
    ),
)
