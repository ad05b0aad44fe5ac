"""Rate limits of price queries: a bucket for each key that has a limit, shared by the processes of an API instance.

A command of Redis costs more than a price. The buckets are therefore in memory that these processes share: a file which
each of them maps. Every instance has buckets of its own.
"""

import math
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from shared.access.keys import LiveKey
from shared.access.rate_limits import BURST_S, Allowance
from shared.telemetry.metrics import RATE_LIMITED

FILE = "price-limits"
# Keys whose ids are equal modulo this number share a bucket.
BUCKETS = 65_536
# Of a bucket: the time at which it is full again, by the monotonic clock, which all processes share.
_FULL_AT = struct.Struct("d")


def prepare(home: Path) -> None:
    """Make new buckets, all full; called by an instance before its processes start.

    A file is replaced and never cut short: processes that end may still map it.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, draft = tempfile.mkstemp(dir=home, prefix=FILE)
    os.truncate(descriptor, BUCKETS * _FULL_AT.size)
    os.close(descriptor)
    Path(draft).replace(home / FILE)


class PriceLimits:
    """The buckets of an instance, by GCRA.

    A process writes eight bytes at once, without a lock: two takes in the same microsecond may count as one.
    """

    def __init__(self, home: Path, now: Callable[[], float] = time.monotonic) -> None:
        """Map the file of `prepare`, which is made where it is missing."""
        if not (home / FILE).exists():
            prepare(home)
        with (home / FILE).open("r+b") as file:
            self._buckets = mmap.mmap(file.fileno(), BUCKETS * _FULL_AT.size)
        self._now = now

    def take(self, key: LiveKey, queries: int) -> Allowance | None:
        """Take the tokens of a request; None: the key has no limit.

        One token is enough: a batch that takes more than there are delays the requests after it.
        """
        per_s = key.prices_per_s
        if per_s is None:
            return None
        now, place = self._now(), key.id % BUCKETS * _FULL_AT.size
        full_in_s = max(_FULL_AT.unpack_from(self._buckets, place)[0] - now, 0.0)
        retry_in_s = full_in_s - BURST_S + 1 / per_s
        if retry_in_s > 0:
            RATE_LIMITED.labels("prices").inc()
            return Allowance("prices", True, per_s * BURST_S, 0, full_in_s, retry_in_s)
        full_in_s += queries / per_s
        _FULL_AT.pack_into(self._buckets, place, now + full_in_s)
        left = max(math.floor((BURST_S - full_in_s) * per_s), 0)
        return Allowance("prices", False, per_s * BURST_S, left, full_in_s, 0.0)

    def close(self) -> None:
        """Unmap the file."""
        self._buckets.close()
