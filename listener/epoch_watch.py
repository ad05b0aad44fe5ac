"""The epoch watch: notices that PostgreSQL's data went back within the same tables, and begins a new epoch."""

import redis
import structlog

from shared.cache.commands import SyncCache
from shared.postgres import epochs
from shared.postgres.pools import Pool
from shared.telemetry.metrics import EPOCHS_BEGUN

log = structlog.get_logger(__name__)

# In the Redis of the cache: it is lost with the sheets, and lasts as long as they do.
KEY = "pricing:beat"


class EpochWatch:
    """Raises the beat in PostgreSQL, and compares it with the last beat that this process or Redis has seen."""

    def __init__(self, pool: Pool, cache: SyncCache) -> None:
        self._pool, self._cache = pool, cache
        self._seen = 0

    def beat(self) -> None:
        """Raise the beat; a beat that was seen before means that the data went back since."""
        with self._pool.connection() as conn:
            beat = epochs.beat(conn)
            if beat <= max(self._seen, self._in_redis()):
                EPOCHS_BEGUN.inc()
                log.warning("PostgreSQL's data went back, a new epoch begins", epoch=epochs.begin(conn), beat=beat)
        self._seen = beat
        try:
            self._cache.set(KEY, beat)
        except redis.RedisError as error:
            log.debug("redis away, the beat is not kept there", error=str(error))

    def _in_redis(self) -> int:
        try:
            known = self._cache.get(KEY)
        except redis.RedisError:
            return 0
        return int(known) if isinstance(known, bytes) and known.isdigit() else 0
