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
        commit: The earlier one, where this checkout is measured against one.
    """

    quick: bool
    rounds: int
    cores: Cores
    say: Callable[[str], None]
    commit: str = "HEAD"


# A server that shared its core for this part of the time was not measured, but whoever it shared it with.
DISTURBED = 0.25
# A ratio of what is equal above this one is noise that hides what is looked for.
CONTROL = 1.03
INCONCLUSIVE = "Inconclusive: others took too much of this machine. Try again when less runs here."


@dataclass(frozen=True)
class Outcome:
    """What was measured, and what was to be shown.

    Attributes:
        bars: Every figure that has a bound.
        figures: Further ones, for the JSON.
        series: Those that were measured in windows.
        controls: Ratios of what is equal: where one is not met, noise is larger than what is looked for.
    """

    bars: Sequence[Bar]
    figures: dict[str, Any] = field(default_factory=dict)
    series: Sequence[Series] = ()
    controls: Sequence[Bar] = ()

    @property
    def holds(self) -> bool:
        """Whether every bar was met by series that count."""
        return all(bar.holds for bar in self.bars) and not any(one.faults for one in self.series)

    @property
    def is_conclusive(self) -> bool:
        """Whether every server had its core to itself, near enough, and every control was met.

        Else neither ticks nor crosses mean anything.
        """
        is_disturbed = any(one.median(FIGURES["disturbed"]) > DISTURBED for one in self.series)
        return not is_disturbed and all(control.holds for control in self.controls)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            **self.figures,
            "series": [one.as_json() for one in self.series],
            "bars": [_as_json(bar) for bar in self.bars],
            "controls": [_as_json(bar) for bar in self.controls],
            "holds": self.holds,
            "conclusive": self.is_conclusive,
        }


def _as_json(bar: Bar) -> dict[str, Any]:
    measured = known(bar.measured)
    return {"what": bar.what, "measured": measured, "sign": bar.sign, "bound": bar.bound, "holds": bar.holds}
