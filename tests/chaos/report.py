"""Plays cases one after the other: on one stack where it is safe, on a new one after a case that failed."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from tests.chaos import judgement
from tests.chaos.case import Case, Figure
from tests.chaos.context import playing
from tests.chaos.environment import Environment, standing

Say = Callable[[str], None]


class TooLong(Exception):
    """A case took longer than it may."""


@dataclass(frozen=True)
class Outcome:
    """How a case went; `wrong` is empty where it passed."""

    case: Case
    figure: str
    wrong: list[str]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the bar was kept, and the common judgement found nothing."""
        return not self.wrong


def play(cases: Sequence[Case], seed: int, quick: bool, say: Say) -> Iterator[Outcome]:
    """Play the cases.

    Args:
        cases: In this order.
        seed: Of the dice; each case has its own, so that it meets the same faults alone.
        quick: Shorten waits and repetitions.
        say: Takes what goes on, a line at a time.

    Raises:
        StackError: a stack did not start.
    """
    with ExitStack() as undo:
        environment: Environment | None = None
        for case in cases:
            if environment is None:
                say("a stack starts")
                environment = undo.enter_context(standing())
            outcome = _play(case, environment, seed, quick, say)
            yield outcome
            if not outcome.passed:
                environment = None
                undo.close()


def _play(case: Case, environment: Environment, seed: int, quick: bool, say: Say) -> Outcome:
    began = time.monotonic()
    figure, wrong = Figure("–"), []
    try:
        with _limited(case.limit_s), playing(environment, case.name, case.products, seed, quick, say) as context:
            try:
                figure = case.play(context)
                wrong += figure.missed
            except TooLong:
                raise
            except Exception as error:  # noqa: BLE001 # the case has failed, and is judged all the same
                wrong.append(_described(error))
            say("the judgement")
            wrong += judgement.of(context)
    except Exception as error:  # noqa: BLE001 # the other cases still play
        wrong.append(_described(error))
    return Outcome(case, figure.text, wrong, time.monotonic() - began)


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
