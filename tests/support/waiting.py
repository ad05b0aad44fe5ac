"""Waiting for a condition, with a deadline; never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 60.0
POLL_S = 0.05


def eventually(look: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Look again and again until there is something true to return.

    Raises:
        AssertionError: the deadline has passed; names `what` and the last thing seen.
    """
    end = time.monotonic() + deadline_s
    while not (seen := look()):
        assert time.monotonic() < end, f"{what}: not within {deadline_s:.0f} s; last seen: {seen!r}"
        time.sleep(POLL_S)
    return seen
