"""The recalculation lock: a fast refusal that saves queries. The claim in PostgreSQL decides."""

from uuid import UUID

import redis

from shared.errors import LockLost

KEY = "pricing:lock:recalculate"
TTL_MS = 15_000

# The holder may take the lock again: this renews it, and repeats a call whose reply was lost.
_TAKE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and ARGV[3] == '0' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RecalculationLock:
    """A lock of 15 s in Redis whose value is the id of the task that holds it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def acquire(self, task_id: UUID, force: bool = False) -> bool:
        """Take the lock, or renew it; False where another task holds it.

        Args:
            task_id: The task that takes the lock.
            force: Take the lock from another holder, which does not run any more.
        """
        return bool(self._client.eval(_TAKE, 1, KEY, str(task_id), TTL_MS, int(force)))

    def renew(self, task_id: UUID) -> None:
        """Hold the lock for another 15 s. A lock that was lost with Redis' data is taken anew.

        Raises:
            LockLost: another task holds it.
        """
        if not self.acquire(task_id):
            raise LockLost("another recalculation took the lock")

    def release(self, task_id: UUID) -> None:
        """Release the lock if this task holds it."""
        self._client.eval(_RELEASE, 1, KEY, str(task_id))
