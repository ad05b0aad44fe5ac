"""The epoch watch: begins a new epoch where PostgreSQL's data went back, or the cache may have lost writes."""

import redis
import structlog

from shared.cache import primaries
from shared.cache.commands import SyncCache
from shared.cache.primaries import Primaries
from shared.postgres import epochs
from shared.postgres.pools import Pool
from shared.telemetry.metrics import EPOCHS_BEGUN

log = structlog.get_logger(__name__)

# In the Redis of the cache: it is lost with the sheets, and lasts as long as they do.
KEY = "pricing:beat"


class EpochWatch:
    """Raises the beat in PostgreSQL, and compares it with the last beat that this process or Redis has seen.

    It also finds failovers of the cache: a sheet whose last version was lost there would be served for as long as
    sheets last.
    """

    def __init__(self, pool: Pool, cache: SyncCache) -> None:
        self._pool, self._cache = pool, cache
        self._seen = 0
        self._known = _NONE

    def beat(self) -> None:
        """Raise the beat, and begin a new epoch where a beat was seen before, or the cache has another primary."""
        with self._pool.connection() as conn:
            beat, found = epochs.beat(conn), self._primaries()
            if beat <= max(self._seen, self._in_redis()):
                EPOCHS_BEGUN.labels("database").inc()
                log.warning("PostgreSQL's data went back, a new epoch begins", epoch=epochs.begin(conn), beat=beat)
            # A Redis that is full does not note them: the same ones are found again.
            elif found.are_promoted and found != self._known:
                EPOCHS_BEGUN.labels("cache").inc()
                log.warning("the cache has another primary, a new epoch begins", epoch=epochs.begin(conn), beat=beat)
        self._seen, self._known = beat, found
        try:
            self._cache.set(KEY, beat)
            primaries.note(self._cache, found)
        except redis.RedisError as error:
            log.debug("redis away, the beat is not kept there", error=str(error))

    def _in_redis(self) -> int:
        try:
            known = self._cache.get(KEY)
        except redis.RedisError:
            return 0
        return int(known) if isinstance(known, bytes) and known.isdigit() else 0

    def _primaries(self) -> Primaries:
        try:
            return primaries.read(self._cache)
        except redis.RedisError as error:
            log.debug("redis away, its primaries are not read", error=str(error))
            return _NONE


_NONE = Primaries({}, are_promoted=False)
