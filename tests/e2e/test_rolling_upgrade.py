"""Processes of an earlier release and of this one run side by side, under load, until the earlier ones are gone."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from random import Random

import pytest

from deploy import ports
from deploy.native import environment, state
from deploy.native.programs import APPS, REPOSITORY
from deploy.native.supervisor_client import Supervisor
from shared import settings
from tests.chaos import judge
from tests.chaos.judgement import HERE
from tests.chaos.reader import Reader
from tests.chaos.traffic import Traffic
from tests.support import private_stack
from tests.support.engine import Engine
from tests.support.waiting import eventually

# The last commit without Sentinel, poolers and the retention of events; its schema is 0037.
BEFORE = "f6af15bcf60634bcb90233a576bce5b88036c551"
PRODUCTS, UPDATES = 24, 20


@pytest.fixture(autouse=True)
def calm() -> None:
    """The stack of the other tests is not needed."""


@pytest.fixture
def old_code(tmp_path: Path) -> Path:
    """The files of the earlier release, from the history of this clone."""
    git = shutil.which("git")
    command = [git or "git", "archive", BEFORE]
    archive = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False) if git else None
    if archive is None or archive.returncode:
        pytest.skip(f"this clone's history does not have {BEFORE[:7]}: `git fetch --unshallow` gets it")
    folder = tmp_path / "before"
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(old_code: Path, tmp_path: Path) -> Iterator[Engine]:
    """A running stack of the earlier release, without products."""
    home = tmp_path / "home"
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    names = ("PRICING_PORT", "PRICING_WORKER_METRICS_PORT", "PRICING_LISTENER_METRICS_PORT")
    env = machine | {name: str(ports.free_port()) for name in names} | {"PRICING_HOME": str(home)}

    def run(*arguments: str) -> None:
        command = [sys.executable, "-m", "deploy.native", *arguments]
        done = subprocess.run(command, cwd=old_code, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"

    try:
        run("up", "--empty", "--only", ",".join(("postgres", "redis", *APPS)))
        engine = Engine(home, settings.load({**environment.load(home), "PRICING_HOME": str(home)}))
        yield engine
        engine.close()
    finally:
        run("down")


@pytest.mark.long
def test_an_upgrade_process_by_process_loses_no_read_and_no_event(old: Engine) -> None:
    ids = [f"upgrade-{number}" for number in range(PRODUCTS)]
    for product_id in ids:
        old.put_product(product_id=product_id, strategy="match")
    with ExitStack() as undo:
        old_reads = undo.enter_context(Reader(old.settings.port, ids, Random(1)))
        to_old = undo.enter_context(traffic(old, ids[::2], "old"))
        wait_for_updates(to_old)
        # The start of the new stack migrates the schema under the earlier one's load.
        new = undo.enter_context(private_stack.running(**on_the_servers_of(old))).engine
        new_reads = undo.enter_context(Reader(new.settings.port, ids, Random(2)))
        to_new = undo.enter_context(traffic(new, ids[1::2], "new"))
        for updates in (to_old, to_new):
            wait_for_updates(updates)
        for engine in (old, new):
            assert engine.ended(engine.recalculate())["status"] == "succeeded"
        for updates in (to_old, to_new):
            updates.stop()
        for engine in (old, new):
            expect(engine, ids, to_old, to_new)
        old_reads.__exit__()
        rest = undo.enter_context(traffic(new, ids, "rest"))
        earlier = Supervisor(state.load(old.home))
        for program in APPS:
            earlier.stop(program)
            wait_for_updates(rest)
        rest.stop()
        expect(new, ids, to_old, to_new, rest)
        rows = new.sql("SELECT id, status FROM market_events")
    sent = (to_old, to_new, rest)
    assert judge.failed_reads([*old_reads.reads, *new_reads.reads], []) == []
    for reader in (old_reads, new_reads):
        assert judge.versions_backwards(reader.reads) == []
    statuses = {row["id"]: row["status"] for row in rows}
    assert judge.unsettled_events([event for updates in sent for event in updates.accepted], statuses) == []
    assert not any(updates.errors or updates.refusals for updates in sent)


def on_the_servers_of(engine: Engine) -> dict[str, str]:
    """Settings of a stack that shares PostgreSQL and Redis."""
    known = engine.settings
    return {
        "PRICING_DATABASE_URL": known.database_url,
        "PRICING_REDIS_URL": known.redis_url,
        "PRICING_BROKER_URL": known.redis_for("broker"),
    }


def traffic(engine: Engine, product_ids: list[str], name: str) -> Traffic:
    return Traffic(str(engine.http.base_url), engine.key, product_ids, Random(name), name)


def wait_for_updates(updates: Traffic) -> None:
    enough = len(updates.accepted) + UPDATES
    eventually(lambda: len(updates.accepted) >= enough, "updates are accepted")


def expect(engine: Engine, product_ids: list[str], *sent: Traffic) -> None:
    """Wait until an API serves the last accepted value of each product; the later ones come last."""
    last = {product_id: value for updates in sent for product_id, value in updates.last.items()}
    wanted = {product_id: f"{last[product_id]:.2f}" for product_id in product_ids if product_id in last}
    assert wanted

    def is_served() -> bool:
        found = {id_: engine.price(id_, user_location=HERE)["final_price"] for id_ in wanted}
        return found == wanted

    eventually(is_served, "the last values are served")
