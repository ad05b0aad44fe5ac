"""What must hold at the end of every case, as functions of what was seen; each answers what is wrong."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby, pairwise

from shared.cache import sheets
from shared.prices.new_versions import StoredSheet
from tests.chaos.reader import Read

EXAMPLES = 3
SETTLED_WELL = {"applied", "superseded"}
UNACKNOWLEDGED_S = 60.0


@dataclass(frozen=True)
class Window:
    """A span of time, by the monotonic clock, in which these statuses are expected; 0 is a broken connection."""

    start: float
    end: float
    statuses: frozenset[int]

    def excuses(self, read: Read) -> bool:
        """Whether the query was under way within the window, and failed as expected."""
        return read.status in self.statuses and read.at <= self.end and read.ended >= self.start


@dataclass(frozen=True)
class Change:
    """A row of the price history."""

    product_id: str
    version: int
    old_price: Decimal | None
    new_price: Decimal
    cause: str
    cause_id: str
    recorded_at: datetime


@dataclass(frozen=True)
class Published:
    """A published price as it stands: in PostgreSQL, in Redis (None: not there); and the database's epoch."""

    product_id: str
    version: int
    price: Decimal
    sheet: str
    cached: str | None
    epoch: int = 0

    @property
    def is_stale(self) -> bool:
        """Whether Redis has a sheet of this epoch that is not the published one."""
        if self.cached is None:
            return False
        entry = sheets.parts(self.cached.encode())
        is_used = entry.is_of(self.epoch) and not entry.is_mark
        return is_used and self.cached != sheets.entry(
            StoredSheet(self.product_id, self.version, self.sheet, self.epoch)
        )


def failed_reads(reads: Iterable[Read], windows: Collection[Window]) -> list[str]:
    """Queries that were not answered with 200, outside the stated windows."""
    wrong = [r for r in reads if r.status != 200 and not any(window.excuses(r) for window in windows)]
    kinds: dict[object, list[Read]] = {}
    for read in wrong:
        kinds.setdefault(read.status or read.error, []).append(read)
    return [
        f"{len(of_kind)} reads failed outside the window: {kind}; the first, of {of_kind[0].product_id}: "
        f"{of_kind[0].error}"
        for kind, of_kind in kinds.items()
    ]


def versions_backwards(reads: Iterable[Read]) -> list[str]:
    """Answers whose version is older than one that the same connection had before for that product."""
    seen: dict[tuple[int, str], int] = {}
    wrong = []
    for read in sorted((r for r in reads if r.status == 200), key=lambda r: r.at):
        key = read.connection, read.product_id
        if read.version < seen.get(key, 0):
            wrong.append(f"{read.product_id} from version {seen[key]} back to {read.version} on one connection")
        seen[key] = max(read.version, seen.get(key, 0))
    return shortened("versions went backwards", wrong)


def unsettled_events(accepted: Iterable[str], statuses: Mapping[str, str]) -> list[str]:
    """Accepted events that are lost, wait, or ended otherwise than they should."""
    wrong = [f"{event_id}: {statuses.get(event_id, 'lost')}" for event_id in accepted]
    return shortened("events not settled", [line for line in wrong if line.partition(": ")[2] not in SETTLED_WELL])


def wrong_prices(what: str, expected: Mapping[str, Decimal], found: Mapping[str, Decimal]) -> list[str]:
    """Products whose price is not the last value."""
    wrong = [f"{id_}: {found.get(id_)} for {price}" for id_, price in expected.items() if found.get(id_) != price]
    return shortened(f"{what} not the last value", wrong)


def history(changes: Sequence[Change], published: Mapping[str, Published]) -> list[str]:
    """Rows that stand twice, rows that are missing, and prices that the history does not end in."""
    broken, doubled = [], []
    ordered = sorted(changes, key=lambda change: (change.product_id, change.version))
    for product_id, group in groupby(ordered, key=lambda change: change.product_id):
        rows = list(group)
        for before, after in pairwise(rows):
            if after.old_price != before.new_price:
                broken.append(
                    f"{product_id}: version {after.version} follows {after.old_price}, not {before.new_price}"
                )
        if product_id in published and rows[-1].new_price != published[product_id].price:
            broken.append(f"{product_id}: the history ends in {rows[-1].new_price}")
        causes = Counter((r.cause, r.cause_id) for r in rows if r.cause in ("event", "task"))
        doubled += [f"{product_id}: {n} rows by {cause[0]} {cause[1]}" for cause, n in causes.items() if n > 1]
    missing = sorted(published.keys() - {change.product_id for change in changes})
    return [
        *shortened("history with gaps", broken),
        *shortened("history rows doubled", doubled),
        *shortened("products without history", missing),
    ]


def overlapping_runs(changes: Iterable[Change]) -> list[str]:
    """Runs that changed prices at the same time."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for change in changes:
        if change.cause == "task":
            first, last = spans.get(change.cause_id, (change.recorded_at, change.recorded_at))
            spans[change.cause_id] = min(first, change.recorded_at), max(last, change.recorded_at)
    ordered = sorted(spans.items(), key=lambda item: item[1])
    return [f"runs at once: {a} and {b}" for (a, one), (b, two) in pairwise(ordered) if two[0] < one[1]]


def stale_sheets(published: Iterable[Published]) -> list[str]:
    """Cached sheets that are not what PostgreSQL says."""
    wrong = [p for p in published if p.is_stale]
    lines = [f"{p.product_id}: {str(p.cached).partition('|')[0]} for {p.version}" for p in wrong]
    return shortened("cached sheets not the published ones", lines)


def shortened(what: str, lines: Sequence[str]) -> list[str]:
    """One line for all that is wrong in the same way, with some examples; nothing where nothing is."""
    more = f" and {len(lines) - EXAMPLES} more" if len(lines) > EXAMPLES else ""
    return [f"{len(lines)} {what}: {'; '.join(lines[:EXAMPLES])}{more}"] if lines else []
