"""Rulebooks and market values of the past, compiled for quotes."""

from collections import OrderedDict
from datetime import datetime
from threading import Lock

from shared.errors import NoHistory
from shared.postgres.pools import Conn
from shared.pricing.compiled import CompiledRulebook, Terms
from shared.rulebook import store, values

# Each is at most a few times 1 MB.
KEPT = 4


class PastTerms:
    """Reads the terms that were in force at an instant, and keeps the last few; threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], Terms] = OrderedDict()
        self._lock = Lock()

    def as_of(self, conn: Conn, at: datetime) -> Terms:
        """The rulebook and the market values that were in force at an instant.

        Values that were written later do not count, even where they say that they are in force since earlier.

        Raises:
            NoHistory: there was no rulebook yet.
        """
        mark = conn.execute(_MARK, {"at": at}).fetchone()
        if mark is None:
            raise NoHistory("there are no prices of this instant: the first rulebook is younger", "$.at")
        key = tuple(mark.values())
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # From the time of their version on, since these terms serve for every instant of it.
        wanted = {"version": mark["values_version"] or 0, "at": mark["values_at"] or at}
        found = values.built(conn.execute(values.CURRENT.encode(), wanted).fetchall(), mark["values_version"])
        rulebook = store.by_version(conn, mark["version"]).rulebook
        terms = Terms(CompiledRulebook(rulebook, mark["version"]), found)
        with self._lock:
            self._kept[key] = terms
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return terms


_MARK = """
SELECT r.version, r.at, v.version AS values_version, v.recorded_at AS values_at
FROM (SELECT version, at FROM rulebooks WHERE at <= %(at)s ORDER BY at DESC, version DESC LIMIT 1) r
LEFT JOIN (
    SELECT version, recorded_at FROM market_values WHERE recorded_at <= %(at)s ORDER BY version DESC, seq DESC LIMIT 1
) v ON true
"""
