"""A case that misses its bar on a busy machine is played once more, and counts as not passed if it stays so."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import pytest
from click.testing import CliRunner

from tests.chaos import __main__ as command
from tests.chaos.case import Case, Figure
from tests.chaos.control import BUSY_SHARE, Control, Sample
from tests.chaos.environment import Environment
from tests.chaos.report import Outcome, Verdict, play
from tests.chaos.topologies import Topology

CASE = Case("case", "a fault", "a bar", lambda context: Figure("a figure"))
QUIET, BUSY = BUSY_SHARE / 2, BUSY_SHARE * 2
LATE, WRONG = ["came late"], ["a price is wrong"]


def outcome(late: list[str], wrong: list[str], others: float) -> Outcome:
    return Outcome(CASE, "a figure", late, wrong, 1.0, others)


class Player:
    """Plays the outcomes in order, and counts the stacks."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes, self.stacks = list(outcomes), 0
        self.said: list[str] = []

    def stand(self, topology: Topology) -> AbstractContextManager[Environment]:
        self.stacks += 1
        return nullcontext(cast(Environment, object()))

    def play_one(self, *_: Any) -> Outcome:
        return self._outcomes.pop(0)

    def played(self, cases: int = 1) -> list[Verdict]:
        found = [each.verdict for each in play([CASE] * cases, 1, True, self.said.append, self.play_one, self.stand)]
        assert self._outcomes == []
        return found


@pytest.mark.parametrize(
    ("late", "wrong", "others", "verdict"),
    [
        ([], [], QUIET, "passed"),
        ([], [], BUSY, "passed"),
        (LATE, [], QUIET, "failed"),
        (LATE, [], BUSY, "inconclusive"),
        # No busy machine makes a price wrong.
        ([], WRONG, BUSY, "failed"),
        (LATE, WRONG, BUSY, "failed"),
    ],
)
def test_only_lateness_on_a_busy_machine_is_inconclusive(
    late: list[str], wrong: list[str], others: float, verdict: Verdict
) -> None:
    assert outcome(late, wrong, others).verdict == verdict


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (outcome([], [], QUIET), "passed"),
        (outcome(LATE, [], QUIET), "failed"),
        (outcome(LATE, [], BUSY), "inconclusive"),
    ],
)
def test_an_inconclusive_case_is_played_once_more_on_a_new_stack(second: Outcome, verdict: Verdict) -> None:
    player = Player(outcome(LATE, [], BUSY), second)
    assert player.played() == [verdict]
    assert player.stacks == 2
    assert player.said[-1] == "case is inconclusive, and is played once more"
    assert "came late" in player.said


def test_a_case_that_failed_is_not_played_again_and_leaves_its_stack() -> None:
    player = Player(outcome(LATE, [], QUIET), outcome([], [], QUIET))
    assert player.played(cases=2) == ["failed", "passed"]
    assert player.stacks == 2


def test_a_case_that_stays_inconclusive_is_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "play", lambda *_: iter([outcome(LATE, [], BUSY)]))
    done = CliRunner().invoke(command.main, [])
    assert done.exit_code == 1
    assert "0 passed, 0 failed, 1 inconclusive" in done.output
    assert "other programs took 50% of it" in done.output


def test_the_control_counts_the_time_of_others_alone() -> None:
    control = Control(cores=2)
    assert control.share == 0.0
    control.add(Sample(at=0.0, busy_s=100.0, ours={1: 5.0, 2: 50.0}))
    # Process 2 has ended, process 3 has begun: of 1.5 s, ours are 1 + 0.5.
    control.add(Sample(at=1.0, busy_s=101.5, ours={1: 6.0, 3: 0.5}))
    assert control.share == 0.0
    control.add(Sample(at=2.0, busy_s=103.5, ours={1: 6.0, 3: 0.5}))
    assert control.share == 0.5
