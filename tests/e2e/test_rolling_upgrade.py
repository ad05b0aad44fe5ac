"""Processes of an earlier release and of this one run side by side, under load, until the earlier ones are gone."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from deploy.native.programs import APPS
from tests.chaos import judge
from tests.chaos.judgement import HERE
from tests.chaos.reader import Reader
from tests.chaos.traffic import Traffic
from tests.support import earlier_release, private_stack
from tests.support.earlier_release import on_the_servers_of
from tests.support.engine import Engine
from tests.support.waiting import eventually

PRODUCTS, UPDATES = 24, 20


@pytest.fixture(autouse=True)
def calm() -> None:
    """The stack of the other tests is not needed."""


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Engine]:
    """A running stack of the earlier release, without products."""
    if how := earlier_release.missing():
        pytest.skip(how)
    with earlier_release.running(tmp_path) as engine:
        yield engine


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
        new = undo.enter_context(private_stack.running(**on_the_servers_of(old.settings))).engine
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
        for program in APPS:
            earlier_release.stop(old, program)
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
