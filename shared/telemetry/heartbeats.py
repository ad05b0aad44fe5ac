"""Heartbeats: when each loop of a process group last turned, and when it last succeeded.

Health is read from these alone. A probe thus never waits for a server, and covers all processes of the group.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec
from prometheus_client.core import Metric

from shared.telemetry.exposition import MultiprocessCollector
from shared.telemetry.metrics import LOOP_SUCCEEDED, LOOP_TURNED

# Longer than any turn. The longest wait for a server ends after 35 s, and a turn beats before each of its steps.
LIVE_S = 120.0
# Longer than the pause of the slowest loop, 15 s.
READY_S = 30.0


class Beat(msgspec.Struct, frozen=True):
    """The age of a loop's last turn and of its last success, in seconds; of several processes the oldest.

    Attributes:
        succeeded_s_ago: None: never, in any process of the group.
    """

    turned_s_ago: float
    succeeded_s_ago: float | None = None


class Health(msgspec.Struct, frozen=True):
    """Whether a process group lives, and whether it can work."""

    is_live: bool
    is_ready: bool
    loops: dict[str, Beat]


@contextmanager
def turn(loop: str) -> Iterator[None]:
    """One turn of a loop; it has succeeded unless the block raises."""
    turned(loop)
    yield
    succeeded(loop)


def turned(loop: str) -> None:
    """Note that a loop has begun a step."""
    LOOP_TURNED.labels(loop).set_to_current_time()


def succeeded(loop: str) -> None:
    """Note that a loop has ended a turn without an error."""
    LOOP_SUCCEEDED.labels(loop).set_to_current_time()


def health(loops: Iterable[str], now: float | None = None) -> Health:
    """The health of this process group, or without a group of this process.

    Args:
        loops: Those that must have succeeded lately. Every loop that ever turned must turn.
        now: Seconds since 1970; by default the host's clock.
    """
    now = time.time() if now is None else now
    turns, successes = (_ages(gauge, now) for gauge in _gauges())
    beats = {loop: Beat(age, successes.get(loop)) for loop, age in turns.items()}
    is_live = all(age < LIVE_S for age in turns.values())
    return Health(is_live, is_live and all(successes.get(loop, READY_S) < READY_S for loop in loops), beats)


def _gauges() -> tuple[Iterable[Metric], Iterable[Metric]]:
    """The families of both gauges, of all living processes of the group."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return LOOP_TURNED.collect(), LOOP_SUCCEEDED.collect()
    families = list(MultiprocessCollector().collect())
    turned_, succeeded_ = LOOP_TURNED.describe(), LOOP_SUCCEEDED.describe()
    return _named(families, turned_), _named(families, succeeded_)


def _named(families: Iterable[Metric], described: Iterable[Metric]) -> list[Metric]:
    names = {family.name for family in described}
    return [family for family in families if family.name in names]


def _ages(families: Iterable[Metric], now: float) -> dict[str, float]:
    samples = [sample for family in families for sample in family.samples]
    return {sample.labels["loop"]: round(max(0.0, now - sample.value), 3) for sample in samples}
