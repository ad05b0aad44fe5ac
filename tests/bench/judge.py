"""What must be shown, and whether it was."""

import operator
from dataclasses import dataclass
from statistics import median
from typing import Literal

Sign = Literal["≥", "≤", "<"]
_HOLDS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


@dataclass(frozen=True)
class Bar:
    """One figure and its bound; a figure that is not known (NaN) does not hold."""

    what: str
    measured: float
    sign: Sign
    bound: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the figure is on the right side of the bound."""
        return bool(_HOLDS[self.sign](self.measured, self.bound))


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """Of the medians; NaN where either is not known."""
    if not numerator or not denominator or not median(denominator):
        return float("nan")
    return median(numerator) / median(denominator)


def of_rounds(numerator: list[float], denominator: list[float]) -> float:
    """The median of the rounds' ratios, which a machine that slows down between rounds moves little; NaN: not known."""
    found = [one / other for one, other in zip(numerator, denominator, strict=True) if other]
    return median(found) if found else float("nan")
