"""The write side of the cache: new versions are put, then announced."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

import redis
import structlog

from shared.cache import marks, sheets, tags
from shared.cache.commands import SyncCache, is_cluster, run
from shared.cache.sheets import Fill
from shared.messaging.channel import announce
from shared.messaging.cluster import mget
from shared.postgres.pools import Pool
from shared.prices import published
from shared.prices.new_versions import StoredSheet

T = TypeVar("T")

# A batch of 4,000 sheets has about 60 of a tag.
TAGS_A_BATCH = 16

log = structlog.get_logger(__name__)


class SheetWriter:
    """Puts sheets into Redis for the workers and the API's writes."""

    def __init__(self, cache: SyncCache, events: redis.Redis, ttl_s: float, pool: Pool | None = None) -> None:
        """A writer.

        Args:
            cache: Redis of the sheets.
            events: Redis of the channels.
            ttl_s: Lifetime of a sheet in Redis, ± 10 %.
            pool: PostgreSQL, which decides where Redis has a later version than is put; None: Redis keeps it.
        """
        self._cache, self._events, self._ttl_s, self._pool = cache, events, ttl_s, pool
        self._is_cluster = is_cluster(cache)
        # In a cluster a batch has a script for each tag.
        self._batch = sheets.BATCH * (TAGS_A_BATCH if self._is_cluster else 1)

    def put(self, stored: Sequence[StoredSheet]) -> None:
        """Put these versions, in scripts of up to 250, and announce them on `price_changes`.

        Where Redis has no sheet of a product, because nobody asked for it lately, a short-lived mark with the version
        takes its place.

        Putting an older version, or the same version again, changes nothing. A later version in Redis that PostgreSQL
        does not have is replaced: somebody else wrote it there, or PostgreSQL's data went back.
        """
        for start in range(0, len(stored), self._batch):
            batch = stored[start : start + self._batch]
            if len(batch) >= marks.MANY and not (batch := marks.without_marked(self._cache, batch)):
                continue
            groups = self._grouped(batch, attrgetter("product_id"))
            replies = run(self._cache, [sheets.put(of_tag, self._ttl_s, tag) for tag, of_tag in groups.items()])
            kept = [sheet.product_id for sheet, is_kept in tags.each(groups, replies) if is_kept]
            if kept and self._pool is not None:
                self._check(self._pool, kept)
        announce(self._events, [(sheet.product_id, sheet.version) for sheet in stored])

    def created(self) -> None:
        """Invalidate all negative entries; call after creating products."""
        forget_absences(self._cache)

    def _check(self, pool: Pool, product_ids: Sequence[str]) -> None:
        """Replace the entries that are later than PostgreSQL, which is read after them."""
        groups = self._grouped(product_ids, str)
        keys = {tag: [sheets.key(product_id, tag) for product_id in ids] for tag, ids in groups.items()}
        entries = run(self._cache, [mget(tag, of_tag) for tag, of_tag in keys.items()])
        clocks = run(self._cache, [sheets.clock(tag) for tag in groups])
        with pool.connection() as conn:
            stored = {sheet.product_id: sheet for sheet in published.stored_sheets(conn, product_ids)}
        commands = []
        for (tag, ids), held, (seconds, microseconds, _) in zip(groups.items(), entries, clocks, strict=True):
            fills = [
                Fill(stored[product_id], entry)
                for product_id, entry in zip(ids, held, strict=True)
                if entry and product_id in stored and sheets.parts(entry).is_later(stored[product_id])
            ]
            if fills:
                log.warning("sheets that PostgreSQL does not have were replaced", products=len(fills))
                read_at_ms = int(seconds) * 1000 + int(microseconds) // 1000
                commands.append(sheets.fill(fills, self._ttl_s, read_at_ms, tag))
        run(self._cache, commands)

    def _grouped(self, items: Sequence[T], id_of: Callable[[T], str]) -> dict[str, list[T]]:
        return tags.grouped(items, id_of, self._is_cluster)


def forget_absences(cache: SyncCache) -> None:
    """Invalidate all negative entries."""
    run(cache, [sheets.generation_raised(tag) for tag in (tags.ALL if is_cluster(cache) else (tags.NONE,))])
