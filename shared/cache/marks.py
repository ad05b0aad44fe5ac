"""Marks for many new sheets at once: most products of a large catalogue have no sheet in Redis.

A mark costs Redis and its client half of a put. The sheets that Redis has are put by `sheets.PUT` after that.
"""

from collections.abc import Sequence
from typing import cast

import redis

from shared.cache import sheets
from shared.prices.new_versions import StoredSheet

# From so many on; a few sheets are put at once, in a single call.
MANY = 50


def without_marked(cache: redis.Redis, batch: Sequence[StoredSheet]) -> Sequence[StoredSheet]:
    """Set a mark where Redis has no sheet of a product; returns the sheets that are to be put, in their order."""
    asked = [sheet for sheet in batch if sheet.json]
    arguments: list[str | int] = [sheets.MARK_TTL_MS]
    for sheet in asked:
        arguments += (sheet.version, sheet.epoch or "")
    keys = [sheets.key(sheet.product_id) for sheet in asked]
    held = cast(list[int], cache.eval(_MARK, len(keys), *keys, *arguments))
    if not held and len(asked) == len(batch):
        return ()
    ids = {asked[number - 1].product_id for number in held}
    return [sheet for sheet in batch if sheet.product_id in ids or not sheet.json]


# As `sheets.PUT` marks a new version; the script returns the numbers of the keys for which that script decides.
_MARK = """
local mark_ttl_ms, held_keys = ARGV[1], {}
for i, key in ipairs(KEYS) do
  local version, epoch = ARGV[2 * i], ARGV[2 * i + 1]
  local held = redis.pcall('GETRANGE', key, 0, 63)
  if held == '' then
    redis.call('SET', key, (epoch == '' and version or epoch .. '.' .. version) .. '|?', 'PX', mark_ttl_ms)
  else
    held_keys[#held_keys + 1] = i
  end
end
return held_keys
"""
