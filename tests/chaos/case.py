"""A case: a fault, the bar that the engine has to keep under it, and what it was measured at."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.context import Context
from tests.chaos.topologies import Topology


@dataclass(frozen=True)
class Figure:
    """What a case measured, for people, and where that misses the bar."""

    text: str
    missed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        play: Makes the fault and measures; raises AssertionError where something never happens.
        products: How many there are, and how many of them hot.
        limit_s: The most that it may take with everything around it.
        topology: The servers that it needs.
    """

    name: str
    fault: str
    bar: str
    play: Callable[[Context], Figure]
    products: tuple[int, int] = (1_000, 8)
    limit_s: float = 300.0
    topology: Topology = "single"


def at_most(what: str, seconds: float, limit_s: float) -> list[str]:
    """What is missed where something took longer than it may."""
    return [f"{what} only after {seconds:.1f} s, the bar is {limit_s:g} s"] if seconds > limit_s else []
