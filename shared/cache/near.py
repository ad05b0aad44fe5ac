"""The near cache: an API process's copies of sheets in Redis, valid for at most a second."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec
import structlog

from shared.pricing.compiled import BoundSheet, CompiledRulebook
from shared.pricing.sheet import PriceSheet
from shared.telemetry.metrics import EPOCH_CHANGES

log = structlog.get_logger(__name__)

MAX_AGE_S = 1.0
# Hot sheets are read again at this age, many in one command, so that no query waits for them.
READ_AHEAD_S = 0.6
# A sheet is hot for this long after a query: in a batch it costs a hundredth of a look-up that a query waits for.
KEEP_S = 10.0
# What a held sheet takes: 2.9 kB where its JSON has 0.57 kB (50,000 generated sheets, resident memory).
BYTES_PER_JSON_BYTE = 5


NEVER = float("-inf")


class Held(msgspec.Struct, gc=False):
    """A sheet as it was in Redis at `checked_at`, in monotonic seconds; `NEVER`: it is to be read again.

    Attributes:
        entry: The entry of Redis from which the sheet was decoded.
        asked_at: As `checked_at`, and no announcement changes it.
        announced_at: Another version was announced then; what Redis was asked for before may be older.
        given_at: About the last time that a query got the sheet; `NEVER`: it is not hot.
    """

    sheet: PriceSheet
    entry: bytes
    checked_at: float
    asked_at: float = NEVER
    announced_at: float = NEVER
    given_at: float = NEVER
    _bound: BoundSheet | None = None

    def bound(self, rules: CompiledRulebook) -> BoundSheet:
        """The sheet with the rules that can touch its product; made once per version of both."""
        bound = self._bound
        if bound is None or bound.rules is not rules or bound.sheet is not self.sheet:
            bound = self._bound = BoundSheet(rules, self.sheet)
        return bound

    def check(self, asked_at: float) -> None:
        """Redis has it, or had it when it was asked."""
        self.checked_at = asked_at if asked_at >= self.announced_at else NEVER
        self.asked_at = max(asked_at, self.asked_at)


class NearCache:
    """Sheets by product, bounded in entries and bytes; what was checked longest ago goes first.

    A sheet is valid for a second after it was requested from Redis, announced or not: announcements only shorten
    that time. A version is never replaced by an older one, unless PostgreSQL contradicts it, or begins another epoch.

    Attributes:
        epoch: The database's epoch, to which all sheets belong; None: it was not read yet.
    """

    def __init__(self, max_entries: int, max_bytes: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """An empty cache.

        Args:
            max_entries: The largest number of sheets; 0 switches the cache off.
            max_bytes: The largest memory of the sheets, estimated from their JSON.
            monotonic: A clock in seconds that never goes back.
        """
        self._max_entries, self._max_bytes, self._monotonic = max_entries, max_bytes, monotonic
        # In the order of their last check: each check moves a sheet to the end. A dict finds its first entry by
        # passing all those that were dropped before it: 13 µs at 20,000 sheets.
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._bytes = 0
        # What queries got in the last ten seconds.
        self._hot: dict[str, Held] = {}
        # The last call of `due`. A time of its own for each query would be another object to make and to free.
        self._turn_at = monotonic()
        self.epoch: int | None = None
        self._entered_at = NEVER

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes_held(self) -> int:
        """Estimated memory of the sheets held."""
        return self._bytes

    def get(self, product_id: str) -> PriceSheet | None:
        """The sheet, where Redis was asked for it less than a second ago."""
        held = self._held.get(product_id)
        return self.given(held) if held is not None else None

    def held(self, product_id: str) -> Held | None:
        """The sheet with its age, however old."""
        return self._held.get(product_id)

    def given(self, held: Held) -> PriceSheet | None:
        """As `get`, for a sheet that was found before; None also where it is held no longer."""
        if self._monotonic() - held.checked_at >= MAX_AGE_S:
            return None
        if held.given_at == NEVER:
            self._hot[held.sheet.product_id] = held
        held.given_at = self._turn_at
        return held.sheet

    def due(self) -> list[str]:
        """The products that were given in the last ten seconds, and whose second is nearly over. For each turn."""
        now = self._turn_at = self._monotonic()
        due = []
        for product_id, held in [item for item in self._hot.items() if item[1].checked_at <= now - READ_AHEAD_S]:
            if now - held.given_at < KEEP_S:
                due.append(product_id)
            else:
                self._cool(product_id)
        return due

    def confirm(self, product_id: str, entry: bytes, asked_at: float) -> PriceSheet | None:
        """The held sheet, however old, if it was decoded from this entry of Redis; it is then as if `put` again."""
        held = self._held.get(product_id)
        if held is None or held.entry != entry:
            return None
        held.check(asked_at)
        self._held.move_to_end(product_id)
        return held.sheet

    def contradicts(self, sheet: PriceSheet, asked_at: float) -> bool:
        """Whether an older version is held although it was requested earlier than this sheet."""
        held = self._held.get(sheet.product_id)
        return held is not None and held.sheet.version > sheet.version and held.asked_at <= asked_at

    def put(self, sheet: PriceSheet, entry: bytes, asked_at: float, *, from_database: bool = False) -> PriceSheet:
        """Hold a sheet that was read; the newest one known, which may be another.

        Args:
            sheet: The sheet.
            entry: The entry from which it was decoded.
            asked_at: Monotonic time before the entry was requested.
            from_database: It was read from PostgreSQL. It also replaces a later version that was requested before.
        """
        held = self._drop(sheet.product_id) or Held(sheet, entry, asked_at)
        if held.sheet.version <= sheet.version or (from_database and held.asked_at <= asked_at):
            held.sheet, held.entry = sheet, entry
        held.check(asked_at)
        self._hold(held)
        return held.sheet

    def changed(self, changes: Iterable[tuple[str, int]]) -> None:
        """Announce new versions: other sheets are read again before their next use. May be called from any thread."""
        for product_id, version in changes:
            held = self._held.get(product_id)
            if held is not None and held.sheet.version != version:
                held.announced_at = self._monotonic()
                held.checked_at = NEVER

    def enter(self, epoch: int, asked_at: float) -> None:
        """Note the database's epoch, read after `asked_at`; sheets of another epoch are dropped."""
        if asked_at < self._entered_at:
            return
        self._entered_at = asked_at
        if epoch == self.epoch:
            return
        if self.epoch is not None:
            EPOCH_CHANGES.inc()
            log.warning("the database has another epoch, nothing cached before is valid", epoch=epoch)
        self.epoch = epoch
        for held in self._held.values():
            held.checked_at = NEVER
        self._held.clear()
        self._hot.clear()
        self._bytes = 0

    def _hold(self, held: Held) -> None:
        if self._max_entries == 0:
            return
        self._held[held.sheet.product_id] = held
        self._bytes += _size(held)
        while len(self._held) > self._max_entries or self._bytes > self._max_bytes:
            oldest = next(iter(self._held))
            self._cool(oldest)
            if dropped := self._drop(oldest):
                # No announcement reaches it from here on.
                dropped.checked_at = NEVER

    def _cool(self, product_id: str) -> None:
        if held := self._hot.pop(product_id, None):
            held.given_at = NEVER

    def _drop(self, product_id: str) -> Held | None:
        held = self._held.pop(product_id, None)
        if held is not None:
            self._bytes -= _size(held)
        return held


def _size(held: Held) -> int:
    return BYTES_PER_JSON_BYTE * len(held.entry)
