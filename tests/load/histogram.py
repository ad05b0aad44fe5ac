"""Prometheus histograms as a scrape has them: read, compared, and asked for quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

Labels = Mapping[str, str]


class CountedBackwards(Exception):
    """A counter is lower than it was: who counted was started anew in between."""


@dataclass(frozen=True)
class Histogram:
    """How many observations were at most as large as each bound.

    Attributes:
        buckets: Upper bound in seconds, the last one infinite → observations up to it. Empty: none at all.
    """

    buckets: Mapping[float, float]

    @property
    def count(self) -> int:
        """All observations."""
        return int(self.buckets.get(math.inf, 0))

    def __sub__(self, earlier: Histogram) -> Histogram:
        """What was observed since.

        Raises:
            CountedBackwards: there are fewer observations than there were.
        """
        since = {bound: number - earlier.buckets.get(bound, 0) for bound, number in self.buckets.items()}
        numbers = [since[bound] for bound in sorted(since)]
        if earlier.buckets.keys() - since.keys() or any(b < a for a, b in pairwise([0.0, *numbers])):
            raise CountedBackwards
        return Histogram(since)

    def quantile(self, share: float) -> float:
        """The value in seconds that this share of the observations does not exceed; NaN where there are none.

        As Prometheus' `histogram_quantile`: linear within a bucket, whose lower bound is the one before it or 0;
        the highest finite bound for what is beyond it.
        """
        if not self.count:
            return math.nan
        rank = share * self.count
        lower, before = 0.0, 0.0
        for bound, number in sorted(self.buckets.items()):
            if number >= rank:
                break
            lower, before = bound, number
        if math.isinf(bound):
            return lower
        return lower + (bound - lower) * (rank - before) / (number - before) if number > before else lower


def read(scrape: str, name: str, wanted: Callable[[Labels], bool] = lambda _: True) -> Histogram | None:
    """A histogram of a scrape, added up over all series that are wanted; None where it has no such histogram."""
    is_there = False
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(scrape):
        if family.name != name:
            continue
        is_there = True
        for sample in family.samples:
            if sample.name == f"{name}_bucket" and wanted(sample.labels):
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0) + sample.value
    return Histogram(buckets) if is_there else None
