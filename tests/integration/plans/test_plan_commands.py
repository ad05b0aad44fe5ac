"""`just plan` and `just apply`: a plan is made of a file, shown, and published."""

import csv
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from shared.commands.__main__ import main
from shared.commands.catalogue import import_file
from shared.commands.plans import apply_command, plan_command
from shared.plans import changes
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop
from tests.support.waiting import eventually
from workers.jobs import plans

JOBS = {"plan": plans.make, "apply": plans.apply}
PROMOTION = {"promotion": {"id": "spring", "percent": "20"}}
QUERY = {"name": "two", "quantity": 2}
Just = Callable[..., Result]


@pytest.fixture
def just(shop: Shop, tmp_path: Path) -> Just:
    def run(*arguments: str, file: object = None, typed: str | None = None) -> Result:
        (tmp_path / "file").write_text(json.dumps(file))
        command = {"plan": plan_command, "apply": apply_command}[arguments[0]]
        given = [str(tmp_path / "file") if argument == "FILE" else argument for argument in arguments[1:]]
        return CliRunner().invoke(command, given, obj=shop.services.settings, input=typed)

    return run


def waiting(shop: Shop, kind: str) -> UUID | None:
    with shop.services.pool.connection() as conn:
        row = conn.execute("SELECT task_id FROM tasks WHERE kind = %s AND status = 'queued'", [kind]).fetchone()
    return None if row is None else row["task_id"]


@contextmanager
def working(shop: Shop, kind: str) -> Iterator[None]:
    """A worker that finds the command's task."""

    def work() -> None:
        JOBS[kind](shop.services, eventually(lambda: waiting(shop, kind), f"a task of kind {kind} waits"))

    worker = threading.Thread(target=work)
    worker.start()
    yield
    worker.join(timeout=60)


def policy(shop: Shop) -> list[object]:
    """A policy whose floor is above the prices."""
    change: list[object] = json.loads(changes.encoded([shop.policy(min_margin=Decimal("0.5"))]))
    return change


def planned(shop: Shop, just: Just, file: object, *options: str) -> tuple[Result, str]:
    """A plan that is made, and its id."""
    with working(shop, "plan"):
        done = just("plan", "FILE", *options, file=file)
    assert done.exit_code == 0, done.output
    with shop.services.pool.connection() as conn:
        row = conn.execute("SELECT plan_id FROM plans ORDER BY created_at DESC LIMIT 1").fetchone()
    assert row
    return done, str(row["plan_id"])


def test_a_plan_is_made_shown_and_applied(shop: Shop, just: Just) -> None:
    ids = shop.stock(3, cost=Decimal("80.00"))
    before = shop.prices()
    manual = {"manual_price": {"product_id": ids[0], "price": "50.00", "reason": "a sale", "below_floor": True}}
    done, plan_id = planned(shop, just, [*policy(shop), manual])
    assert shop.prices() == before
    words, lines = done.stdout.split(), done.stdout.splitlines()
    assert [words[words.index(name) + 1] for name in ("rise", "fall", "stay")] == ["2", "1", "0"]
    falls, rises = (lines.index(f"the largest {way} of published prices") for way in ("falls", "rises"))
    assert lines[falls + 1].startswith(f"{ids[0]}: ")
    assert any(line.startswith("- ") for line in lines[falls:rises])
    assert any(line.startswith("+ ") and "floor" in line for line in lines[rises:])
    assert lines[-1] == f"to publish it: just apply {plan_id}"
    after = shop.planned(UUID(plan_id))
    with working(shop, "apply"):
        applied = just("apply", plan_id)
    assert applied.exit_code == 0, applied.output
    assert "is applied; 0 prices were decided anew" in applied.output
    assert shop.prices() == after != before


def test_a_plan_is_printed_as_json_and_listed(shop: Shop, just: Just) -> None:
    shop.stock(2)
    done, plan_id = planned(shop, just, {"changes": [PROMOTION], "sample": 1, "queries": [QUERY]}, "--json")
    view = json.loads(done.stdout.splitlines()[-1])  # the worker logs before it
    assert (view["plan_id"], view["status"], view["is_partial"]) == (plan_id, "ready", True)
    assert json.loads(just("plan", plan_id, "--json").stdout)["result"] == view["result"]
    shown = just("plan", "show", plan_id).stdout
    assert "cannot be applied" in shown
    assert "public prices in" in shown
    [query] = [line.split() for line in shown.splitlines() if line.startswith("two ")]
    assert query[:7] == ["two", "0", "1", "USD", "190.00", "→", "152.00"]
    falls = shown.partition("the largest falls of public prices")[2].splitlines()
    assert any(line.startswith("+ ") and "promotion" in line for line in falls)
    assert plan_id in just("plan").stdout
    assert just("plan", "discard", plan_id).exit_code == 0
    assert "discarded" in just("plan").stdout


def test_standard_input_is_read(shop: Shop, just: Just) -> None:
    shop.stock(1)
    with working(shop, "plan"):
        done = just("plan", "-", typed=json.dumps([PROMOTION]))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ([PROMOTION, {"promotion": {"id": "x", "percent": "200"}}], "$.changes[1].promotion"),
        ({"changes": [{"delete": {"promotion": "no-such"}}]}, "$.changes[0].delete"),
        ([{"delete": {"product": "none"}}], "$.changes[0].delete.product"),
        ({}, "changes"),
    ],
)
def test_a_wrong_change_is_one_sentence_with_its_path(shop: Shop, just: Just, file: object, path: str) -> None:
    done = just("plan", "FILE", file=file)
    assert done.exit_code == 1
    assert path in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_application_whose_part_changed_since_is_refused(shop: Shop, just: Just) -> None:
    shop.stock(1, cost=Decimal("80.00"))
    _, plan_id = planned(shop, just, policy(shop))
    shop.apply(shop.plan(shop.policy(min_margin=Decimal("0.2"))).plan_id)
    done = just("apply", plan_id)
    assert done.exit_code == 1
    assert "policy" in done.stderr
    assert "make the plan again" in done.stderr
    assert just("apply", str(uuid4())).exit_code == 1


def test_prices_that_were_decided_anew_are_listed(shop: Shop, just: Just) -> None:
    ids = shop.stock(30, cost=Decimal("80.00"))
    _, plan_id = planned(shop, just, policy(shop))
    shop.write(product(ids[0], cost=Decimal("90.00")))
    with working(shop, "apply"):
        done = just("apply", plan_id)
    assert done.exit_code == 0, done.output
    assert "1 prices were decided anew" in done.stderr
    assert ids[0] in done.stdout
    assert ids[1] not in done.stdout


def test_waiting_that_is_interrupted_says_how_it_goes_on(
    shop: Shop, just: Just, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shared.commands.plan_progress.time.sleep", interrupt)
    done = just("plan", "FILE", file=[PROMOTION])
    assert done.exit_code == 130
    assert "`just plan discard " in done.stderr


def test_the_text_of_others_cannot_colour_the_terminal(shop: Shop, just: Just) -> None:
    shop.stock(1)
    foreign = {"promotion": {"id": "spring", "percent": "20", "applies_to": {"tags": ["\x1b[31mred"]}}}
    done, _ = planned(shop, just, [foreign])
    assert "\x1b" not in done.stdout
    assert "unknown_name: promotion spring: no product has one of these tags: \\u001b[31mred" in done.stdout


def test_help_names_just() -> None:
    done = CliRunner().invoke(main, ["plan", "--help"], prog_name="just", env={})
    assert "Usage: just plan" in done.output


def test_an_import_is_planned_by_its_command(shop: Shop, tmp_path: Path) -> None:
    [product_id] = shop.stock(1)
    file = tmp_path / "prices.csv"
    file.write_text(f"product_id,base_price\n{product_id},50.00\n")
    with working(shop, "plan"):
        done = CliRunner().invoke(import_file, [str(file), "--plan"], obj=shop.services.settings)
    assert (done.exit_code, "just apply" in done.output) == (0, True), done.output
    assert str(shop.prices()[product_id].price) == "95.00"


def test_the_items_of_a_plan_are_written_as_csv(shop: Shop, just: Just, tmp_path: Path) -> None:
    ids = shop.stock(2, category="=1+1")
    manual = [{"manual_price": {"product_id": ids[0], "price": "60.00", "reason": "a sale"}}]
    _, plan_id = planned(shop, just, manual)
    file = tmp_path / "items.csv"
    assert just("plan", plan_id, "--csv", str(file)).exit_code == 0
    [row] = csv.DictReader(file.read_text().splitlines())
    assert (row["product_id"], row["category"], row["new_price"]) == (ids[0], "'=1+1", "60.00")
    assert Decimal(row["change"]) < 0
    assert just("plan", plan_id, "--csv", "-", "--json").exit_code == 2
