"""The write side of the cache: new versions are put, then announced."""

from collections.abc import Sequence
from typing import cast

import redis
import structlog

from shared.cache import marks, sheets
from shared.cache.sheets import Fill
from shared.errors import RedisUnavailable, translate
from shared.messaging.channel import announce
from shared.postgres.pools import Pool
from shared.prices import published
from shared.prices.new_versions import StoredSheet

log = structlog.get_logger(__name__)


class SheetWriter:
    """Puts sheets into Redis for the workers and the API's writes."""

    def __init__(self, cache: redis.Redis, events: redis.Redis, ttl_s: float, pool: Pool | None = None) -> None:
        """A writer.

        Args:
            cache: Redis of the sheets.
            events: Redis of the channels.
            ttl_s: Lifetime of a sheet in Redis, ± 10 %.
            pool: PostgreSQL, which decides where Redis has a later version than is put; None: Redis keeps it.
        """
        self._cache, self._events, self._ttl_s, self._pool = cache, events, ttl_s, pool

    def put(self, stored: Sequence[StoredSheet]) -> None:
        """Put these versions, in scripts of up to 250, and announce them on `price_changes`.

        Where Redis has no sheet of a product, because nobody asked for it lately, a short-lived mark with the version
        takes its place.

        Putting an older version, or the same version again, changes nothing. A later version in Redis that PostgreSQL
        does not have is replaced: somebody else wrote it there, or PostgreSQL's data went back.
        """
        for start in range(0, len(stored), sheets.BATCH):
            batch = stored[start : start + sheets.BATCH]
            if len(batch) >= marks.MANY and not (batch := marks.without_marked(self._cache, batch)):
                continue
            if (kept := self._run(*sheets.put_arguments(batch, self._ttl_s))) and self._pool is not None:
                self._check(self._pool, [batch[number - 1].product_id for number in kept])
        announce(self._events, [(sheet.product_id, sheet.version) for sheet in stored])

    def created(self) -> None:
        """Invalidate all negative entries; call after creating products."""
        try:
            self._cache.incr(sheets.GENERATION)
        except redis.ResponseError as error:
            if isinstance(translate(error), RedisUnavailable):
                raise
            # A foreign value that is no number. Redis' time is a generation that was never there.
            seconds, microseconds = self._cache.time()
            self._cache.set(sheets.GENERATION, seconds * 1_000_000 + microseconds)

    def _check(self, pool: Pool, product_ids: Sequence[str]) -> None:
        """Replace the entries that are later than PostgreSQL, which is read after them."""
        entries = cast(list[bytes | None], self._cache.mget([sheets.key(product_id) for product_id in product_ids]))
        seconds, microseconds = self._cache.time()
        with pool.connection() as conn:
            stored = {sheet.product_id: sheet for sheet in published.stored_sheets(conn, product_ids)}
        fills = [
            Fill(stored[product_id], entry)
            for product_id, entry in zip(product_ids, entries, strict=True)
            if entry and product_id in stored and sheets.parts(entry).is_later(stored[product_id])
        ]
        if fills:
            log.warning("sheets that PostgreSQL does not have were replaced", products=len(fills))
            read_at_ms = seconds * 1000 + microseconds // 1000
            self._run(*sheets.fill_arguments(fills, self._ttl_s, read_at_ms))

    def _run(self, keys: Sequence[str], arguments: Sequence[bytes | str | int]) -> list[int]:
        # EVAL and not EVALSHA: after a start of Redis the first EVALSHA would fail, visibly in its trace.
        return cast(list[int], self._cache.eval(sheets.PUT, len(keys), *keys, *arguments))
