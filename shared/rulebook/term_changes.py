"""Changes of the rulebook and of market values, in a list, newest first."""

from datetime import datetime
from typing import NamedTuple

from shared.postgres.pools import Conn


class TermChange(NamedTuple):
    """One new version of the rulebook, or one market value that came into force.

    Attributes:
        what: `rulebook`, `market NY` or `rate EUR/USD`.
        before: The value before; empty: there was none.
        after: The value, or the rulebook's version; empty: none from then on.
        cause: The change and its author.
    """

    at: datetime
    what: str
    before: str
    after: str
    cause: str


def listed(
    conn: Conn, currency: str | None, limit: int, *, since: datetime | None = None, until: datetime | None = None
) -> list[TermChange]:
    """The changes in [since, until), up to now: rates of this currency alone; None: of every one."""
    values = {"since": since, "until": until, "limit": limit, "currency": currency}
    return [TermChange(**row) for row in conn.execute(_LISTED, values)]


_LISTED = """
(SELECT at, 'rulebook' AS what, coalesce('version ' || nullif(version - 1, 0), '') AS before,
    'version ' || version AS after, concat_ws(', by ', cause, nullif(author, '')) AS cause
FROM rulebooks
WHERE (%(since)s::timestamptz IS NULL OR at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
ORDER BY at DESC, version DESC LIMIT %(limit)s)
UNION ALL
(SELECT v.since, CASE v.kind WHEN 'multiplier' THEN 'market ' ELSE 'rate ' END || v.name,
    coalesce(trim_scale(b.value)::text, ''), coalesce(trim_scale(v.value)::text, ''),
    concat_ws(', by ', concat_ws(' ', v.cause, nullif(v.cause_id, '')), nullif(v.author, ''))
FROM market_values v LEFT JOIN LATERAL (
    SELECT value FROM market_values b WHERE b.kind = v.kind AND b.key = v.key AND (b.since, b.seq) < (v.since, v.seq)
    ORDER BY b.since DESC, b.seq DESC LIMIT 1) b ON true
WHERE (%(since)s::timestamptz IS NULL OR v.since >= %(since)s)
    AND v.since < coalesce(%(until)s::timestamptz, clock_timestamp())
    AND (v.kind = 'multiplier' OR %(currency)s::text IS NULL OR %(currency)s = ANY(string_to_array(v.name, '/')))
ORDER BY v.since DESC, v.seq DESC LIMIT %(limit)s)
ORDER BY at DESC LIMIT %(limit)s
"""
