"""Marks for many new sheets at once: most products of a large catalogue have no sheet in Redis.

A mark costs Redis and its client half of a put. The sheets that Redis has are put by `sheets.PUT` after that.
"""

from collections.abc import Sequence
from operator import attrgetter

from shared.cache import sheets, tags
from shared.cache.commands import SyncCache, is_cluster, run
from shared.cache.tags import each
from shared.messaging.cluster import Command, scripted
from shared.prices.new_versions import StoredSheet

# From so many on; a few sheets are put at once, in a single call.
MANY = 50


def without_marked(cache: SyncCache, batch: Sequence[StoredSheet]) -> Sequence[StoredSheet]:
    """Set a mark where Redis has no sheet of a product; returns the sheets that are to be put, in their order."""
    asked = [sheet for sheet in batch if sheet.json]
    groups = tags.grouped(asked, attrgetter("product_id"), is_cluster(cache))
    replies = run(cache, [_mark(tag, of_tag) for tag, of_tag in groups.items()])
    if not any(map(any, replies)) and len(asked) == len(batch):
        return ()
    ids = {sheet.product_id for sheet, is_held in each(groups, replies) if is_held}
    return [sheet for sheet in batch if sheet.product_id in ids or not sheet.json]


def _mark(tag: str, asked: Sequence[StoredSheet]) -> Command:
    keys = [sheets.key(sheet.product_id, tag) for sheet in asked]
    return scripted(_MARK, tag, keys, [sheets.MARK_TTL_MS], [(s.version, s.epoch or "") for s in asked])


# As `sheets.PUT` marks a new version; the script returns a 1 for each key for which that script decides.
_MARK = """
local mark_ttl_ms, is_held = ARGV[1], {}
for i, key in ipairs(KEYS) do
  local version, epoch = ARGV[2 * i], ARGV[2 * i + 1]
  local held = redis.pcall('GETRANGE', key, 0, 63)
  is_held[i] = 0
  if held == '' then
    redis.call('SET', key, (epoch == '' and version or epoch .. '.' .. version) .. '|?', 'PX', mark_ttl_ms)
  else
    is_held[i] = 1
  end
end
return is_held
"""
