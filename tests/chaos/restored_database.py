"""The database is restored from a backup under the running engine."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx

from tests.chaos import judgement
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import FLOWING, Context
from tests.support.waiting import eventually

RIGHT_S = 5.0
SHOWN = 40
AFTERWARDS = 20  # accepted updates


def _restored(context: Context) -> Figure:
    context.traffic.stop()  # what was accepted after the backup would be lost with it
    assert not (wrong := judgement.settled(context)), wrong
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backup.dump"
        _deploy(context, "backup", file)
        before = context.plain_price
        context.ended(context.recalculate())
        eventually(lambda: _is_served(context), "the prices of after the backup are served")
        context.restored_from = len(context.reader.reads)
        _deploy(context, "restore", file)
    context.plain_price = before
    took = context.seconds_until(lambda: _is_served(context), "the prices of the backup are served")
    context.restored_to = len(context.reader.reads)
    with context.more_traffic("after", context.catalogue.hot[FLOWING:]) as traffic:
        eventually(lambda: len(traffic.accepted) >= AFTERWARDS, "updates are accepted again")
    return Figure(
        f"{len(context.catalogue.plain)} prices went back; the backup's are served after {took:.1f} s",
        at_most("the backup's prices are served", took, RIGHT_S),
    )


def _under_load(context: Context) -> Figure:
    """Updates are accepted and a run is going on while the backup is restored; what came after the backup is lost."""
    context.traffic.stop()
    assert not (wrong := judgement.settled(context)), wrong
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backup.dump"
        _deploy(context, "backup", file)
        before = context.plain_price
        with context.more_traffic("during", context.catalogue.hot[FLOWING:]) as traffic:
            eventually(lambda: len(traffic.accepted) >= AFTERWARDS, "updates are accepted")
            context.recalculate()
            context.restored_from = len(context.reader.reads)
            _deploy(context, "restore", file)
            context.plain_price = before
            took = context.seconds_until(lambda: _is_served(context), "the prices of the backup are served")
            context.restored_to = len(context.reader.reads)
            accepted = len(traffic.accepted)
            # One may have been under way to the old database.
            eventually(lambda: len(traffic.accepted) >= accepted + 2, "updates are accepted again")
            traffic.forget()
            eventually(lambda: len(traffic.accepted) >= AFTERWARDS, "more updates are accepted")
    refused = sum(traffic.statuses().values())
    return Figure(
        f"{refused} updates were refused and repeated; the backup's prices are served after {took:.1f} s",
        at_most("the backup's prices are served", took, RIGHT_S),
    )


def _killed(context: Context) -> Figure:
    """Kill restores of an older backup at random moments; the last one that is killed may have replaced it or not."""
    context.traffic.stop()
    assert not (wrong := judgement.settled(context)), wrong
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backup.dump"
        _deploy(context, "backup", file)
        began = time.monotonic()
        _deploy(context, "restore", file)
        whole = time.monotonic() - began
        kept = replaced = 0
        for _ in context.times(12, 4):
            epoch = _epoch(context)
            with _deploying(context, "restore", file) as restoring:
                # Mostly within the restore, sometimes at the replacement or after it.
                with suppress(subprocess.TimeoutExpired):
                    restoring.wait(context.rng.uniform(0.3, 1.05) * whole)
                restoring.kill()
            eventually(lambda: _is_served(context), "the prices are served")
            kept, replaced = kept + (_epoch(context) == epoch), replaced + (_epoch(context) != epoch)
        _deploy(context, "restore", file)
    left = context.environment.engine.sql("SELECT datname FROM pg_database WHERE starts_with(datname, 'pricing_')")
    assert not left, f"databases are left: {left}"
    took = context.seconds_until(lambda: _is_served(context), "the prices of the backup are served")
    with context.more_traffic("after", context.catalogue.hot[FLOWING:]) as traffic:
        eventually(lambda: len(traffic.accepted) >= AFTERWARDS, "updates are accepted again")
    return Figure(
        f"killed {kept} times before the replacement and {replaced} times at or after it; "
        f"then restored, right after {took:.1f} s",
        at_most("the backup's prices are served", took, RIGHT_S),
    )


def _epoch(context: Context) -> int:
    [row] = context.environment.engine.sql("SELECT current_epoch() AS epoch")
    return int(row["epoch"])


def _deploy(context: Context, command: str, file: Path) -> None:
    """`just backup` or `just restore`, as an operator of the servers' home runs it."""
    with _deploying(context, command, file) as process:
        printed, _ = process.communicate()
    assert process.returncode == 0, printed


def _deploying(context: Context, command: str, file: Path) -> subprocess.Popen[str]:
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    # The stack's key, so that the migration of the restored database keeps it.
    ours = {"PRICING_HOME": str(context.environment.servers.home), "PRICING_ADMIN_KEY": context.environment.engine.key}
    return subprocess.Popen(
        [sys.executable, "-m", "deploy", command, str(file)],
        env={**machine, **ours, "DOCKER_HOST": "unix:///nonexistent"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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
    Case(
        "restore-under-load",
        "a backup restored while updates are accepted and a run is going on",
        "the backup's prices ≤ 5 s from every process, later updates all applied, no failed read",
        _under_load,
        products=(1_000, 16),
    ),
    Case(
        "restore-killed",
        "restores killed at random moments, then one to its end",
        "each leaves the old database or the new one, right prices ≤ 5 s after the last, no failed read",
        _killed,
        products=(1_000, 16),
    ),
)
