"""What a benchmark is told, and what it hands back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.cores import Cores
from tests.bench.judge import Bar
from tests.bench.series import FIGURES, Series, known


@dataclass(frozen=True)
class Options:
    """What the caller chose.

    Attributes:
        quick: Few and short windows.
        rounds: How many; 0: as the benchmark thinks right.
        cores: Who runs where.
        say: Takes one line for every step.
    """

    quick: bool
    rounds: int
    cores: Cores
    say: Callable[[str], None]


# A server that shared its core for this part of the time was not measured, but whoever it shared it with.
DISTURBED = 0.25


@dataclass(frozen=True)
class Outcome:
    """What was measured, and what was to be shown.

    Attributes:
        bars: Every figure that has a bound.
        figures: Further ones, for the JSON.
        series: Those that were measured in windows.
    """

    bars: Sequence[Bar]
    figures: dict[str, Any] = field(default_factory=dict)
    series: Sequence[Series] = ()

    @property
    def holds(self) -> bool:
        """Whether every bar was met by series that count."""
        return all(bar.holds for bar in self.bars) and not any(one.faults for one in self.series)

    @property
    def is_conclusive(self) -> bool:
        """Whether every server had its core to itself, near enough; else neither ticks nor crosses mean anything."""
        return not any(one.median(FIGURES["disturbed"]) > DISTURBED for one in self.series)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            **self.figures,
            "series": [one.as_json() for one in self.series],
            "bars": [
                {"what": b.what, "measured": known(b.measured), "sign": b.sign, "bound": b.bound, "holds": b.holds}
                for b in self.bars
            ],
            "holds": self.holds,
            "conclusive": self.is_conclusive,
        }
