"""The write side of the cache: new versions are put, then announced."""

from collections.abc import Sequence

import redis

from shared.cache import sheets
from shared.messaging.channel import announce
from shared.prices.published import StoredSheet


class SheetWriter:
    """Puts sheets into Redis for the workers and the API's writes."""

    def __init__(self, cache: redis.Redis, events: redis.Redis, ttl_s: float) -> None:
        self._cache, self._events, self._ttl_s = cache, events, ttl_s

    def put(self, stored: Sequence[StoredSheet]) -> None:
        """Put these versions, in scripts of 250, and announce them on `price_changes`.

        Putting an older version, or the same version again, changes nothing.
        """
        for start in range(0, len(stored), sheets.BATCH):
            batch = stored[start : start + sheets.BATCH]
            keys, arguments = sheets.put_arguments(batch, self._ttl_s)
            # EVAL and not EVALSHA: after a start of Redis the first EVALSHA would fail, visibly in its trace.
            self._cache.eval(sheets.PUT, len(keys), *keys, *arguments)
        announce(self._events, [(sheet.product_id, sheet.version) for sheet in stored])

    def created(self) -> None:
        """Invalidate all negative entries; call after creating products."""
        self._cache.incr(sheets.GENERATION)
