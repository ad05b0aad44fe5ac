"""What all decisions under one rule share, prepared once per rule."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MOST = 64


class Prepared(Generic[T, R]):
    """Keeps what is made of an immutable object, by its identity; the object's own hash would take longer."""

    def __init__(self, make: Callable[[T], R]) -> None:
        self._make = make
        self._kept: dict[int, tuple[T, R]] = {}

    def of(self, one: T) -> R:
        """What is made of the object; threads may share this."""
        held = self._kept.get(id(one))
        # The object is kept too, so that no other one has its identity.
        if held is not None and held[0] is one:
            return held[1]
        if len(self._kept) >= _MOST:
            self._kept.clear()
        made = self._make(one)
        self._kept[id(one)] = one, made
        return made
