"""What an operator sees of background work, and does about it: `just tasks`, `just events`, `just recalculate`."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from shared.catalogue.failures import ProductFailure
from shared.catalogue.product_set import ProductSet
from shared.commands.events import events_command
from shared.commands.jobs import recalculate, tasks_command
from shared.jobs import endings, partitions, tasks
from shared.jobs.endings import TaskError
from shared.jobs.partitions import Partition
from shared.market_events import inbox
from shared.market_events.records import EventRecord
from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id, product, write

COMMANDS = {"tasks": tasks_command, "events": events_command, "recalculate": recalculate}
Just = Callable[..., Result]


@pytest.fixture
def just(settings: Settings, pool: Pool) -> Iterator[Just]:
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks, run_partitions")
    yield lambda command, *arguments: CliRunner().invoke(COMMANDS[command], arguments, obj=settings)
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks, run_partitions")


def failed(pool: Pool) -> UUID:
    with pool.connection() as conn:
        task_id = tasks.create(conn, "recalculation", ProductSet(("P-1",)), "")
        endings.fail(conn, task_id, None, TaskError("ValueError", "no [such] thing"), "Traceback: where")
    return task_id


def test_failed_tasks_are_listed_with_their_error(just: Just, pool: Pool) -> None:
    gone = failed(pool)
    with pool.connection() as conn:
        waiting = tasks.create(conn, "recalculation", ProductSet(), "")
    listed = just("tasks", "--failed")
    assert listed.exit_code == 0
    assert str(gone) in listed.stdout
    assert "ValueError: no [such] thing" in listed.stdout
    assert str(waiting) not in listed.stdout
    assert "1 failed, 1 queued" in listed.stdout
    assert str(waiting) in just("tasks", "--waiting").stdout


def test_a_failed_task_is_shown_with_its_traceback_and_replayed(just: Just, pool: Pool) -> None:
    gone = failed(pool)
    assert "Traceback: where" in just("tasks", "show", str(gone)).stdout
    assert just("tasks", "replay", str(gone)).exit_code == 0
    assert str(gone) in just("tasks", "--waiting").stdout
    again = just("tasks", "replay", str(gone))
    assert again.exit_code == 1
    assert "queued" in again.stderr


def test_the_products_that_failed_in_a_run_are_listed_and_shown_with_their_reasons(just: Just, pool: Pool) -> None:
    with pool.connection() as conn:
        task = tasks.start(conn, tasks.create(conn, "recalculation", ProductSet(("P-1", "P-2")), ""))
        assert task
        tasks.advance(conn, task, total=2)
        partition = Partition(task.task_id, 0, 1, task.product_set, "", None)
        conn.execute(
            "INSERT INTO run_partitions (task_id, number, first, size, status, attempts)"
            " VALUES (%s, 0, '', 2, 'running', 1)",
            [task.task_id],
        )
        partitions.finish(conn, partition, 2, 0, [ProductFailure("P-2", "ValueError: \x1b[31mno currency")])
        assert partitions.end(conn, task.task_id) == "succeeded"
    assert "2/2, 1 failed" in just("tasks").stdout
    shown = just("tasks", "show", str(task.task_id)).stdout
    assert "P-2" in shown
    assert "no currency" in shown
    assert "\x1b" not in shown


def test_events_that_were_given_up_are_listed_shown_and_replayed(just: Just, pool: Pool) -> None:
    product_id = new_id()
    event = EventRecord(
        source="shop", id=new_id(), type="demand_changed", occurred_at=datetime.now(UTC),
        data={"product_id": product_id, "index": "1.1"}, product_id=product_id,
    )  # fmt: skip
    with pool.connection() as conn:
        inbox.record(conn, [event])
        assert inbox.fail_waiting(conn, product_id, "ValueError: \x1b[31mno", "Traceback: where") == 1
    listed = just("events", "--failed", "--limit", "1000")
    assert event.id in listed.stdout
    assert "\x1b" not in listed.stdout
    assert event.id not in just("events", "--waiting", "--limit", "1000").stdout
    assert "Traceback: where" in just("events", "show", event.id).stdout
    assert just("events", "replay", event.id, "--source", "shop").exit_code == 0
    assert event.id in just("events", "--waiting", "--limit", "1000").stdout
    assert just("events", "replay", event.id).exit_code == 1


@pytest.mark.parametrize("command", ["tasks", "events"])
def test_what_is_not_known_is_said(just: Just, command: str) -> None:
    unknown = just(command, "show", str(UUID(int=7)))
    assert unknown.exit_code == 1
    assert "no " in unknown.stderr


def test_a_recalculation_is_queued_with_its_scope_and_a_trace(just: Just, pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id, category=f"home {product_id}"))
    queued = just("recalculate", "--product", product_id, "--category", f"home {product_id}")
    task_id = UUID(queued.stdout.strip())
    with pool.connection() as conn:
        running = tasks.start(conn, task_id)
    assert running
    assert running.product_set == ProductSet((product_id,), (f"home {product_id}",))
    assert "trace_id: 0000" not in just("tasks", "show", str(task_id)).stdout


@pytest.mark.parametrize(
    ("option", "given", "meant"),
    [("--product", "x{}", "no product 'x{0}'; did you mean {0}?"), ("--category", "HOME {}", "did you mean home {0}?")],
)
def test_a_recalculation_of_nothing_fails_and_says_what_was_meant(
    just: Just, pool: Pool, policy: ActivePolicy, option: str, given: str, meant: str
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id, category=f"home {product_id}"))
    failed = just("recalculate", option, given.format(product_id))
    assert (failed.exit_code, failed.stdout, meant.format(product_id) in failed.stderr) == (1, "", True), failed.stderr


def test_no_text_from_outside_moves_the_cursor_or_forges_a_line(just: Just, pool: Pool) -> None:
    hostile = "\x1b[2J\rstatus: applied\nforged: yes\u202e\x9b"
    event = EventRecord(
        source=f"shop{hostile}", id=f"{new_id()}{hostile}", type="demand_changed", occurred_at=datetime.now(UTC),
        data={"product_id": new_id(), "index": hostile}, product_id=(product_id := new_id()),
    )  # fmt: skip
    with pool.connection() as conn:
        inbox.record(conn, [event])
        assert inbox.fail_waiting(conn, product_id, f"ValueError: {hostile}", f"Traceback: {hostile}") == 1
        task_id = tasks.create(conn, "recalculation", ProductSet(("P-1",)), "")
        endings.fail(conn, task_id, None, TaskError("ValueError", hostile), f"Traceback: {hostile}")
    for arguments in (
        ("events", "--failed", "--limit", "1000"),
        ("events", "show", event.id),
        ("events", "replay", event.id),
        ("events", "replay", event.id),
        ("events", "show", f"gone{hostile}"),
        ("tasks", "--failed"),
        ("tasks", "show", str(task_id)),
    ):
        printed = just(*arguments)
        lines = (printed.stdout + printed.stderr).split("\n")
        assert all(line.isprintable() for line in lines), arguments
        assert not [line for line in lines if line.startswith(("forged", "status: applied"))], arguments
