"""Finds a failover of the cache: Redis replicates asynchronously, so that a new primary may lack the last writes.

Each primary holds its own run id under `pricing:primary`, in a cluster once for each hash tag. A replica has copied
its primary's. After its promotion it holds another one's id, as does a server that started anew from a file.
"""

from typing import NamedTuple

from shared.cache import tags
from shared.cache.commands import SyncCache, is_cluster, run
from shared.messaging.cluster import Command


class Primaries(NamedTuple):
    """The primaries of the cache.

    Attributes:
        unnoted: The primaries that do not hold their own run id: hash tag → run id.
        are_promoted: Whether one of them holds the run id of a server that is no primary any more.
    """

    unnoted: dict[str, bytes]
    are_promoted: bool


def read(cache: SyncCache) -> Primaries:
    """Read the run ids.

    Raises:
        redis.RedisError: a primary is away, or a replica answered.
    """
    asked = tags.ALL if is_cluster(cache) else (tags.NONE,)
    replies = run(cache, [Command(tag, ("EVAL", _READ, 1, key(tag))) for tag in asked])
    present = {run_id for run_id, _ in replies}
    others = {tag: (run_id, held) for tag, (run_id, held) in zip(asked, replies, strict=True) if run_id != held}
    # A slot that moved between primaries brings the id of its former one along, and no write was lost.
    are_promoted = any(held and held not in present for _, held in others.values())
    return Primaries({tag: run_id for tag, (run_id, _) in others.items()}, are_promoted)


def note(cache: SyncCache, primaries: Primaries) -> None:
    """Have each primary hold its own run id."""
    run(cache, [Command(tag, ("SET", key(tag), run_id)) for tag, run_id in primaries.unnoted.items()])


def key(tag: str = tags.NONE) -> str:
    """The Redis key of the run id."""
    return f"pricing:{tag}primary"


# MGET, unlike GET, raises no error for a key of another type. The reply of a replica has a connection look the primary
# up anew.
_READ = """
if string.match(redis.call('INFO', 'replication'), 'role:(%a+)') ~= 'master' then
  return redis.error_reply('READONLY a replica does not tell which writes the primary has')
end
return {string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or '', redis.call('MGET', KEYS[1])[1]}
"""
