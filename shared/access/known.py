"""A process's copy of all live API keys: a request with a key needs no statement of its own."""

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from shared.access import keys
from shared.access.keys import LiveKey
from shared.errors import DatabaseUnavailable, Unauthorized, translated
from shared.postgres.pools import AsyncPool, bounded

log = structlog.get_logger(__name__)

# A revoked or expired key is refused after this time and one statement.
REFRESH_S = 1.0
# An unknown key may be new: the copy is read again for it, at most this often.
FOR_UNKNOWN_S = 0.1
NOTE_USE_S = 10.0


class KnownKeys:
    """The live keys, read again each second. While PostgreSQL is away, the last known keys go on working."""

    def __init__(self, database: AsyncPool, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database, self._now = database, now
        self._keys: Mapping[str, LiveKey] = {}
        self._used: dict[int, datetime] = {}
        self._lock = asyncio.Lock()
        self._began_at = self._noted_at = float("-inf")
        self._error: DatabaseUnavailable | None = None
        self._note_limits: Callable[[bool], None] = lambda _: None

    def on_limits(self, note: Callable[[bool], None]) -> None:
        """Call `note` now and after each reading of the keys: whether any key has a limit of price queries."""
        self._note_limits = note
        self._tell_limits()

    def held(self, key: str) -> LiveKey | None:
        """The live key with this text, where the copy has it; notes its use."""
        digest = keys.digest_of(key)
        # The look-up by a part of the hash depends on no secret; the comparison takes the same time for every key.
        found = self._keys.get(_part(digest))
        if found is None or not hmac.compare_digest(found.digest, digest):
            return None
        now = self._now()
        if found.expires_at is not None and found.expires_at <= now:
            return None
        self._used[found.id] = now
        return found

    def is_live(self, key: LiveKey) -> bool:
        """Whether a key that was live is neither revoked nor expired."""
        held = self._keys.get(_part(key.digest))
        return held is not None and (held.expires_at is None or held.expires_at > self._now())

    def note(self, key: LiveKey) -> None:
        """Note the use of a key by its session."""
        self._used[key.id] = self._now()

    async def find(self, key: str) -> LiveKey:
        """The live key with this text. For a key that the copy lacks, the copy is read again first.

        Raises:
            Unauthorized: the key is unknown, revoked or expired.
            DatabaseUnavailable: the copy lacks the key, and PostgreSQL is away.
        """
        if found := self.held(key):
            return found
        asked_at = time.monotonic()
        async with self._lock:
            if self._began_at < asked_at:
                await asyncio.sleep(max(0.0, self._began_at + FOR_UNKNOWN_S - asked_at))
                await self._read()
            error = self._error
        if found := self.held(key):
            return found
        if error is not None:
            raise error
        raise Unauthorized("the key is not known, has expired or was revoked")

    async def refresh(self) -> None:
        """Read the keys, unless another task has just done so."""
        async with self._lock:
            if time.monotonic() - self._began_at >= FOR_UNKNOWN_S:
                await self._read()

    async def keep_fresh(self) -> None:
        """Loop: read the keys each second, and store their last use every 10 s."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self.refresh()
            if time.monotonic() - self._noted_at >= NOTE_USE_S:
                await self.note_use()

    async def note_use(self) -> None:
        """Store the last use of keys; kept for the next time where PostgreSQL is away."""
        self._noted_at = time.monotonic()
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await bounded(keys.note_use(self._database, used))
        except Exception as error:  # noqa: BLE001 # the keys work without it
            self._used = used | self._used
            log.warning("last use of keys not stored", error=str(error))

    async def _read(self) -> None:
        self._began_at = time.monotonic()
        try:
            with translated():
                live = await bounded(keys.live(self._database))
        except Exception as error:  # noqa: BLE001 # the last known keys go on working
            if self._error is None:
                log.warning("keys not read, the last known ones go on working", error=str(error))
            self._error = error if isinstance(error, DatabaseUnavailable) else DatabaseUnavailable(str(error))
        else:
            self._keys = {_part(key.digest): key for key in live}
            self._error = None
            self._tell_limits()

    def _tell_limits(self) -> None:
        self._note_limits(any(key.prices_per_s is not None for key in self._keys.values()))


def _part(digest: str) -> str:
    return digest[:16]
