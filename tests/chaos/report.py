"""Plays cases one after the other: on one stack where it is safe, on a new one after a case that was not passed.

A case of another topology than the one before gets a stack of its own.

A case that misses its bar on a busy machine is inconclusive. It is played once more.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Literal

from tests.chaos import judgement
from tests.chaos.case import Case, Figure
from tests.chaos.context import playing
from tests.chaos.control import BUSY_SHARE, controlled
from tests.chaos.environment import Environment, standing
from tests.chaos.topologies import Topology

Say = Callable[[str], None]
Verdict = Literal["passed", "failed", "inconclusive"]


class TooLong(Exception):
    """A case took longer than it may."""


@dataclass(frozen=True)
class Outcome:
    """How a case went.

    Attributes:
        late: The bars of time that were missed. A busy machine excuses them.
        wrong: The other faults. Nothing excuses them.
        others: The share of the machine that other programs took.
    """

    case: Case
    figure: str
    late: list[str]
    wrong: list[str]
    seconds: float
    others: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """`passed`: the bar was kept, and the judgement found nothing. `inconclusive`: the machine was too busy."""
        if not self.late and not self.wrong:
            return "passed"
        return "inconclusive" if not self.wrong and self.others > BUSY_SHARE else "failed"

    @property
    def missed(self) -> list[str]:
        """All that was missed, a line each."""
        busy = [f"the machine was too busy: other programs took {self.others:.0%} of it"]
        return [*self.late, *self.wrong, *(busy if self.verdict == "inconclusive" else [])]


Play = Callable[[Case, Environment, int, bool, Say], Outcome]
Stand = Callable[[Topology], AbstractContextManager[Environment]]


def play(
    cases: Sequence[Case],
    seed: int,
    quick: bool,
    say: Say,
    play_one: Play | None = None,
    stand: Stand = standing,
) -> Iterator[Outcome]:
    """Play the cases.

    Args:
        cases: In this order.
        seed: Of the dice; each case has its own, so that it meets the same faults alone.
        quick: Shorten waits and repetitions.
        say: Takes what goes on, a line at a time.
        play_one: Plays a case once.
        stand: Starts a stack.

    Raises:
        StackError: a stack did not start.
    """
    play_one = play_one or _play
    with ExitStack() as undo:
        environment: Environment | None = None
        topology = cases[0].topology if cases else "single"
        for case in cases:
            if case.topology != topology:
                environment, topology = None, case.topology
                undo.close()
            if environment is None:
                say("a stack starts")
                environment = undo.enter_context(stand(topology))
            outcome = play_one(case, environment, seed, quick, say)
            if outcome.verdict == "inconclusive":
                for line in (*outcome.missed, f"{case.name} is inconclusive, and is played once more"):
                    say(line)
                undo.close()
                environment = undo.enter_context(stand(topology))
                outcome = play_one(case, environment, seed, quick, say)
            yield outcome
            if outcome.verdict != "passed":
                environment = None
                undo.close()


def _play(case: Case, environment: Environment, seed: int, quick: bool, say: Say) -> Outcome:
    began = time.monotonic()
    figure, late, wrong = Figure("–"), [], []
    with controlled(environment) as control:
        try:
            with _limited(case.limit_s), playing(environment, case.name, case.products, seed, quick, say) as context:
                try:
                    figure = case.play(context)
                    late += figure.missed
                except TooLong:
                    raise
                except Exception as error:  # noqa: BLE001 # the case has failed, and is judged all the same
                    late.append(_described(error))
                say("the judgement")
                wrong += judgement.of(context)
        except Exception as error:  # noqa: BLE001 # the other cases still play
            late.append(_described(error))
    return Outcome(case, figure.text, late, wrong, time.monotonic() - began, control.share)


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, AssertionError | TooLong) else f"{type(error).__name__}: {error}"


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TooLong in this, the main thread when the time is over."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"not over within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
