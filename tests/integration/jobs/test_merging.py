"""Requests beside a run: merged into a follow-up, or covered by a run that started later."""

import pytest

from shared.catalogue.product_set import ProductSet
from tests.integration.catalogue_examples import at_once
from tests.integration.jobs.conftest import BOTH, ONE, TRACEPARENT, TWO, Tasks


def test_a_request_beside_a_running_one_ends_in_the_follow_up(jobs: Tasks) -> None:
    jobs.started(ONE)
    asked = jobs.create(TWO)
    assert jobs.skip_into_follow_up(asked)
    follow_up = jobs.merged_into(asked)
    assert (jobs.status(follow_up), jobs.view(follow_up).product_set) == ("queued", TWO)
    assert jobs.view(follow_up).trace_id == TRACEPARENT.split("-")[1]


def test_all_requests_beside_a_running_one_end_in_the_same_follow_up(jobs: Tasks) -> None:
    jobs.started()
    first, second = jobs.create(ONE), jobs.create(TWO)
    at_once([lambda: jobs.skip_into_follow_up(first), lambda: jobs.skip_into_follow_up(second)])
    assert jobs.merged_into(first) == jobs.merged_into(second)
    assert jobs.view(jobs.merged_into(first)).product_set == BOTH


def test_a_request_for_everything_makes_the_follow_up_one_for_everything(jobs: Tasks) -> None:
    jobs.started()
    first, second = jobs.create(ONE), jobs.create(ProductSet())
    jobs.skip_into_follow_up(first)
    jobs.skip_into_follow_up(second)
    assert jobs.view(jobs.merged_into(first)).product_set.is_everything


def test_the_keys_of_merged_requests_are_those_of_the_task_that_includes_them(jobs: Tasks) -> None:
    running = jobs.started()
    for asked in (jobs.create(ONE, key_id=7), jobs.create(TWO, key_id=8), jobs.create(TWO, key_id=8), jobs.create(ONE)):
        jobs.skip_into_follow_up(asked)
        follow_up = jobs.merged_into(asked)
    jobs.succeed(running)
    taken = jobs.start(follow_up)
    assert taken is not None
    assert taken.key_ids == (7, 8)


def test_the_follow_up_itself_waits_for_its_turn(jobs: Tasks) -> None:
    running = jobs.started()
    asked = jobs.create()
    jobs.skip_into_follow_up(asked)
    follow_up = jobs.merged_into(asked)
    assert jobs.skip_into_follow_up(follow_up)
    jobs.succeed(running)
    assert not jobs.skip_into_follow_up(follow_up)
    assert jobs.status(follow_up) == "queued"


def test_nothing_is_skipped_where_nothing_runs(jobs: Tasks) -> None:
    asked = jobs.create()
    assert jobs.skip_into_follow_up(asked) is False
    assert jobs.status(asked) == "queued"


def test_the_follow_up_is_taken_when_the_run_has_ended(jobs: Tasks) -> None:
    assert jobs.claim_follow_up() is None
    running = jobs.started()
    asked = jobs.create()
    jobs.skip_into_follow_up(asked)
    jobs.succeed(running)
    follow_up = jobs.claim_follow_up()
    assert follow_up == jobs.merged_into(asked)
    assert jobs.start(follow_up)
    assert jobs.claim_follow_up() is None


def test_the_follow_up_is_not_taken_while_a_run_goes_on(jobs: Tasks) -> None:
    """Else its own message, refused, would ring for it again and again."""
    jobs.started()
    jobs.skip_into_follow_up(jobs.create())
    assert jobs.claim_follow_up() is None


def test_what_is_asked_for_while_the_follow_up_runs_gets_a_follow_up_of_its_own(jobs: Tasks) -> None:
    running = jobs.started()
    first = jobs.create()
    jobs.skip_into_follow_up(first)
    jobs.succeed(running)
    jobs.start(jobs.merged_into(first))
    second = jobs.create()
    jobs.skip_into_follow_up(second)
    assert jobs.merged_into(second) != jobs.merged_into(first)


def test_a_run_that_started_later_and_has_all_its_products_covers_a_request(jobs: Tasks) -> None:
    asked = jobs.create(ONE)
    later = jobs.started(BOTH)
    assert jobs.skip_if_covered(asked)
    assert jobs.merged_into(asked) == later.task_id


def test_a_run_that_has_succeeded_covers_as_well(jobs: Tasks) -> None:
    asked = jobs.create(ONE)
    later = jobs.started(ProductSet())
    jobs.succeed(later)
    assert jobs.skip_if_covered(asked)


def test_a_run_that_started_before_the_request_does_not_cover_it(jobs: Tasks) -> None:
    jobs.started(ProductSet())
    asked = jobs.create(ONE)
    assert not jobs.skip_if_covered(asked)
    assert jobs.status(asked) == "queued"


def test_a_run_of_fewer_products_does_not_cover(jobs: Tasks) -> None:
    asked = jobs.create(BOTH)
    jobs.started(ONE)
    assert not jobs.skip_if_covered(asked)


def test_a_run_that_failed_does_not_cover(jobs: Tasks) -> None:
    asked = jobs.create(ONE)
    jobs.fail(jobs.started(BOTH).task_id)
    assert not jobs.skip_if_covered(asked)


def test_a_publication_covers_no_recalculation(jobs: Tasks) -> None:
    asked = jobs.create(ONE)
    jobs.started(ONE, kind="cache_sync")
    assert not jobs.skip_if_covered(asked)


def test_a_follow_up_is_not_covered_by_a_run_that_started_before_what_was_merged_into_it(jobs: Tasks) -> None:
    running, first = jobs.started(ProductSet()), jobs.create(ONE)
    jobs.skip_into_follow_up(first)
    jobs.succeed(running)
    between = jobs.started(ProductSet())
    second = jobs.create(ONE)
    assert not jobs.skip_if_covered(second)
    jobs.skip_into_follow_up(second)
    follow_up = jobs.merged_into(second)
    assert follow_up == jobs.merged_into(first)
    jobs.succeed(between)
    assert not jobs.skip_if_covered(follow_up)
    assert jobs.claim_follow_up() == follow_up


def test_a_task_that_was_tried_once_is_finished_and_not_skipped(jobs: Tasks) -> None:
    asked = jobs.started(ONE)
    jobs.retry_later(asked.task_id)
    jobs.started(BOTH)
    assert not jobs.skip_if_covered(asked.task_id)


@pytest.mark.parametrize("end", ["failed", "aborted"])
def test_a_run_that_does_not_succeed_passes_on_what_was_merged_into_it(jobs: Tasks, end: str) -> None:
    asked, other = jobs.create(ONE), jobs.create(TWO)
    run = jobs.started(BOTH)
    assert jobs.skip_if_covered(asked)
    assert jobs.skip_if_covered(other)
    if end == "failed":
        jobs.fail(run.task_id)
    else:
        jobs.request_abort(run.task_id)
        jobs.end_aborted(run.task_id)
    follow_up = jobs.merged_into(asked)
    assert follow_up == jobs.merged_into(other) == jobs.claim_follow_up()
    assert jobs.view(follow_up).product_set == BOTH


def test_aborting_the_waiting_follow_up_does_not_drop_what_others_asked_for(jobs: Tasks) -> None:
    running, asked = jobs.started(), jobs.create(ONE)
    jobs.skip_into_follow_up(asked)
    aborted = jobs.merged_into(asked)
    jobs.request_abort(aborted)
    assert jobs.status(aborted) == "aborted"
    jobs.succeed(running)
    assert jobs.merged_into(asked) == jobs.claim_follow_up() != aborted
