"""A list of promises: what was checked, the figure that was measured, a tick or a cross."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")
LONGEST_REASON = 300


class Mark(StrEnum):
    """What came of a check."""

    TICK = "✓"
    CROSS = "✗"
    SKIPPED = "–"


class CannotCheck(Exception):
    """The promise cannot be checked here; the text says why. It is neither kept nor broken."""


@dataclass(frozen=True)
class Line:
    """One promise; `figure` is what was measured, or why there is no tick."""

    where: str
    what: str
    figure: str
    mark: Mark


@dataclass(frozen=True)
class Check(Generic[T]):
    """A promise and how it is checked: `look` answers the figure, or raises."""

    what: str
    look: Callable[[T], str]


@dataclass
class Checklist:
    """All lines so far; `said` is told each of them."""

    said: Callable[[Line], None]
    lines: list[Line] = field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        """Whether there is no cross."""
        return all(line.mark != Mark.CROSS for line in self.lines)

    def run(self, where: str, checks: Sequence[Check[T]], subject: T) -> None:
        """Check all of them, one after the other."""
        for check in checks:
            self._add(Line(where, check.what, *_outcome(check, subject)))

    def skip(self, where: str, checks: Sequence[Check[T]], reason: str) -> None:
        """None of them can be checked."""
        for check in checks:
            self._add(Line(where, check.what, f"skipped: {reason}", Mark.SKIPPED))

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        self.said(line)


def timed(ask: Callable[[], T]) -> tuple[T, float]:
    """What was asked for, and how many ms it took."""
    started = time.perf_counter()
    answer = ask()
    return answer, (time.perf_counter() - started) * 1000


def _outcome(check: Check[T], subject: T) -> tuple[str, Mark]:
    try:
        return check.look(subject), Mark.TICK
    except CannotCheck as error:
        return f"skipped: {error}", Mark.SKIPPED
    except Exception as error:  # noqa: BLE001 # whatever it is, the promise is not kept, and the line says why
        reason = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return " ".join(reason.split())[:LONGEST_REASON], Mark.CROSS
