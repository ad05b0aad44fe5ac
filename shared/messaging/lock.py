"""The recalculation lock: a fast refusal that saves queries. The claim in PostgreSQL decides."""

from uuid import UUID

import redis

from shared.errors import LockLost
from shared.messaging.cluster import Cluster
from shared.postgres.leases import LEASE_S

KEY = "pricing:lock:recalculate"
TTL_MS = LEASE_S * 1000

# The value is `<task>:<attempt>`. The holder may take the lock again: this renews it, and repeats a call whose reply
# was lost. An earlier attempt of the same task is refused, also by force; attempt 0 is a start whose number is not
# known yet, and leaves the number as it is.
_TAKE = """
local held = redis.call('GET', KEYS[1])
local task, attempt = ARGV[1], tonumber(ARGV[2])
if held then
  local holder, held_attempt = string.match(held, '^([^:]*):?(%d*)$')
  held_attempt = tonumber(held_attempt) or 0
  if holder ~= task then
    if ARGV[4] == '0' then return 0 end
  elseif attempt == 0 then
    attempt = held_attempt
  elseif held_attempt > attempt then
    return 0
  end
end
redis.call('SET', KEYS[1], task .. ':' .. attempt, 'PX', ARGV[3])
return 1
"""

_RELEASE = """
local holder, attempt = string.match(redis.call('GET', KEYS[1]) or '', '^([^:]*):?(%d*)$')
if holder == ARGV[1] and (ARGV[2] == '' or (tonumber(attempt) or 0) <= tonumber(ARGV[2])) then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class RecalculationLock:
    """A lock of 12 s in Redis whose value is the id of the task that holds it, and its attempt."""

    def __init__(self, client: redis.Redis | Cluster) -> None:
        self._client = client

    def acquire(self, task_id: UUID, attempt: int = 0, *, force: bool = False) -> bool:
        """Take the lock, or renew it; False where another task, or a later attempt of this one, holds it.

        Args:
            task_id: The task that takes the lock.
            attempt: Its attempt; 0: not known yet.
            force: Take the lock from another task, which does not run any more.
        """
        return bool(self._client.eval(_TAKE, 1, KEY, str(task_id), attempt, TTL_MS, int(force)))

    def renew(self, task_id: UUID, attempt: int) -> None:
        """Hold the lock for another 12 s. A lock that was lost with Redis' data is taken anew.

        Raises:
            LockLost: another task, or a later attempt of this one, holds it.
        """
        if not self.acquire(task_id, attempt):
            raise LockLost("another recalculation took the lock")

    def release(self, task_id: UUID, attempt: int | None) -> None:
        """Release the lock if this task holds it, and no later attempt of it; None: whatever its attempt."""
        self._client.eval(_RELEASE, 1, KEY, str(task_id), "" if attempt is None else attempt)
