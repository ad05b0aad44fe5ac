"""Market values: market multipliers and exchange rates, each in force from an instant on. Rows are only added."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal, NamedTuple

from shared.postgres.pools import Conn
from shared.pricing.exchange import MarketValues, Since
from shared.pricing.market import location_key

Kind = Literal["multiplier", "exchange_rate"]
Pair = tuple[str, str]


class By(NamedTuple):
    """Who made a change, and why; `cause_id` names an event or a request."""

    author: str
    cause: str
    cause_id: str = ""


class NewValue(NamedTuple):
    """A value to be written; None: there is none from then on. `since`: None: from now on."""

    kind: Kind
    name: str
    value: Decimal | None
    since: datetime | None = None


def load(conn: Conn, at: datetime | None = None) -> MarketValues:
    """The newest market values in force at an instant (None: now), and those that follow."""
    version = newest(conn)
    return built(conn.execute(CURRENT.encode(), {"version": version, "at": at}).fetchall(), version)


def in_force(conn: Conn, kind: Kind) -> dict[str, Decimal]:
    """The values of one kind that are in force now, by the keys as they were written."""
    return {row["name"]: row["value"] for row in conn.execute(_NOW.encode(), [kind])}


def newest(conn: Conn) -> int:
    """The newest version of the market values; 0: there are none."""
    row = conn.execute("SELECT coalesce(max(version), 0) AS version FROM market_values").fetchone()
    return int(row["version"]) if row else 0


def lock(conn: Conn) -> None:
    """Let no other transaction write market values until this one ends."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtext('pricing-market-values'))")


def add(conn: Conn, rows: Sequence[NewValue], by: By) -> int:
    """Write values as one version; returns it. A value that is in force already is left out."""
    lock(conn)
    written = _insert(conn, rows, by)
    return newest(conn) if written is None else written


def add_missing(conn: Conn, multipliers: Mapping[str, Decimal], by: By) -> None:
    """Set the multipliers of the markets that never had one."""
    lock(conn)
    keys = {location_key(code): code for code in multipliers}
    had = {row["key"] for row in conn.execute(_HAD, [list(keys)])}
    _insert(conn, [NewValue("multiplier", keys[key], multipliers[keys[key]]) for key in keys if key not in had], by)


def changed_since(conn: Conn, version: int, named: Sequence[NewValue]) -> list[str]:
    """The names of those of these values that were written after a version."""
    keys = {location_key(one.name) if one.kind == "multiplier" else one.name: one.name for one in named}
    rows = conn.execute(_CHANGED, {"version": version, "keys": list(keys)})
    return [keys[row["key"]] for row in rows]


def apply_event(conn: Conn, code: str, multiplier: Decimal, occurred_at: datetime, event_id: str) -> int | None:
    """Set a market's multiplier; returns the values' version, or None where a later event has set it already.

    The same event again keeps the version, and so does one with the same multiplier.
    """
    lock(conn)
    key = location_key(code)
    last = conn.execute(_LAST_MULTIPLIER, [key]).fetchone()
    if last is not None:
        if last["occurred_at"] > occurred_at:
            return None
        if last["value"] == multiplier:
            conn.execute(_CONFIRM, [occurred_at, event_id, last["seq"]])
            return int(last["version"])
    version = _insert(conn, [NewValue("multiplier", code, multiplier)], By("", "event", event_id), occurred_at)
    return newest(conn) if version is None else version


def built(rows: Iterable[Mapping[str, Any]], version: int | None) -> MarketValues:
    """The market values in rows of `CURRENT`."""
    multipliers: dict[str, tuple[Since, ...]] = {}
    rates: dict[Pair, tuple[Since, ...]] = {}
    for (kind, _), group in groupby(rows, key=lambda row: (row["kind"], row["key"])):
        found = list(group)
        timeline = tuple(Since(row["since"], row["value"]) for row in found)
        name = found[-1]["name"]
        if kind == "exchange_rate":
            source, _, target = name.partition("/")
            rates[source, target] = timeline
        elif timeline[-1].value is not None:  # a market whose multiplier was deleted is a market by the rulebook only
            multipliers[name] = timeline
    return MarketValues(multipliers, rates, version or 0)


def _insert(conn: Conn, rows: Sequence[NewValue], by: By, occurred_at: datetime | None = None) -> int | None:
    """The version of the rows that say something new; None: there are none."""
    columns = {name: [getattr(row, name) for row in rows] for name in NewValue._fields}
    keys = [location_key(row.name) if row.kind == "multiplier" else row.name for row in rows]
    row = conn.execute(_INSERT, columns | by._asdict() | {"key": keys, "occurred_at": occurred_at}).fetchone()
    return int(row["version"]) if row else None


# Of equal instants the later row counts. The clocks of hosts differ a little: a value that was replaced within the last
# minutes is read, too.
_KEYS = """
WITH RECURSIVE keys AS (
    (SELECT kind, key FROM market_values ORDER BY kind, key LIMIT 1)
    UNION ALL
    SELECT n.kind, n.key FROM keys k, LATERAL (
        SELECT v.kind, v.key FROM market_values v WHERE (v.kind, v.key) > (k.kind, k.key) ORDER BY v.kind, v.key LIMIT 1
    ) n)
"""
CURRENT = f"""
{_KEYS},
edge AS (SELECT coalesce(%(at)s::timestamptz, clock_timestamp()) - interval '5 minutes' AS instant)
SELECT k.kind, k.key, v.name, v.value, v.since FROM keys k, edge, LATERAL (
    (SELECT name, value, since, seq FROM market_values
    WHERE kind = k.kind AND key = k.key AND since <= edge.instant AND version <= %(version)s
    ORDER BY since DESC, seq DESC LIMIT 1)
    UNION ALL
    SELECT name, value, since, seq FROM market_values
    WHERE kind = k.kind AND key = k.key AND since > edge.instant AND version <= %(version)s) v
ORDER BY k.kind, k.key, v.since, v.seq
"""  # noqa: S608 # only text of this module

_NOW = f"""
{_KEYS}
SELECT v.name, v.value FROM keys k, LATERAL (
    SELECT name, value FROM market_values WHERE kind = k.kind AND key = k.key AND since <= clock_timestamp()
    ORDER BY since DESC, seq DESC LIMIT 1) v
WHERE k.kind = %s AND v.value IS NOT NULL
"""  # noqa: S608 # only text of this module

# All rows are compared before the first one is stored: each comparison would pass over the rows stored so far.
_INSERT = """
WITH next AS MATERIALIZED (
    SELECT coalesce(max(version), 0) + 1 AS version, clock_timestamp() AS now FROM market_values),
fresh AS MATERIALIZED (
    SELECT r.*, next.version, next.now
    FROM next, unnest(%(kind)s::text[], %(key)s::text[], %(name)s::text[], %(value)s::numeric[],
        %(since)s::timestamptz[]) WITH ORDINALITY AS r (kind, key, name, value, since, place)
    WHERE r.value IS DISTINCT FROM (
        SELECT v.value FROM market_values v
        WHERE v.kind = r.kind AND v.key = r.key AND v.since <= coalesce(r.since, next.now)
        ORDER BY v.since DESC, v.seq DESC LIMIT 1))
INSERT INTO market_values (version, kind, key, name, value, since, author, cause, cause_id, occurred_at)
SELECT version, kind, key, name, value, coalesce(since, now), %(author)s, %(cause)s, %(cause_id)s,
    coalesce(%(occurred_at)s, now)
FROM fresh WHERE (SELECT count(*) FROM fresh) > 0
ORDER BY place
RETURNING version
"""

_LAST_MULTIPLIER = """
SELECT seq, version, value, occurred_at FROM market_values WHERE kind = 'multiplier' AND key = %s
ORDER BY since DESC, seq DESC LIMIT 1
"""

_CHANGED = "SELECT DISTINCT key FROM market_values WHERE version > %(version)s AND key = ANY(%(keys)s) ORDER BY key"

_CONFIRM = "UPDATE market_values SET occurred_at = %s, cause_id = %s WHERE seq = %s"

_HAD = "SELECT DISTINCT key FROM market_values WHERE kind = 'multiplier' AND key = ANY(%s)"
