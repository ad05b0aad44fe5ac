"""Changes of the rulebook and of market values, in a list, newest first."""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from shared.postgres.pools import Conn
from shared.wire.fields import ComputedAt


class TermChange(msgspec.Struct, frozen=True):
    """One new version of the rulebook, or one market value that came into force."""

    kind: Annotated[
        Literal["rulebook", "multiplier", "exchange_rate"], Meta(description="What changed", examples=["multiplier"])
    ]
    name: Annotated[
        str | None,
        Meta(description="The market, or the currencies as `EUR/USD`; null: the rulebook", examples=["NY"]),
    ]
    before: Annotated[
        str | None, Meta(description="The value, or the rulebook's version, before; null: none", examples=["1.1"])
    ]
    after: Annotated[str | None, Meta(description="The value or version from then on; null: none", examples=["1.2"])]
    cause: Annotated[str, Meta(description="The change and its author", examples=["a campaign, by shop"])]
    at: ComputedAt


class Bounds(NamedTuple):
    """Positions behind which changes are listed, each an instant and a number at it; None: from the newest one on."""

    rulebooks: tuple[datetime, int] | None = None
    values: tuple[datetime, int] | None = None


class Listed(NamedTuple):
    """A change with its number: the rulebook's version, or the place among the market values of its instant."""

    change: TermChange
    number: int


def listed(
    conn: Conn,
    currency: str | None,
    limit: int,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after: Bounds = Bounds(),  # noqa: B008 # frozen
) -> list[Listed]:
    """The changes in [since, until), up to now: rates of this currency alone; None: of every one."""
    names = ("rulebook_at", "rulebook", "value_at", "value")
    positions = [*(after.rulebooks or (None, None)), *(after.values or (None, None))]
    values = {
        "since": since,
        "until": until,
        "limit": limit,
        "currency": currency,
        **dict(zip(names, positions, strict=True)),
    }
    rows = conn.execute(_LISTED, values).fetchall()
    return [
        Listed(TermChange(**{name: row[name] for name in TermChange.__struct_fields__}), row["number"]) for row in rows
    ]


_LISTED = """
(SELECT 'rulebook' AS kind, NULL AS name, nullif(version - 1, 0)::text AS before, version::text AS after,
    concat_ws(', by ', cause, nullif(author, '')) AS cause, at, version AS number
FROM rulebooks
WHERE (%(since)s::timestamptz IS NULL OR at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
    AND (%(rulebook_at)s::timestamptz IS NULL OR (at, version) < (%(rulebook_at)s, %(rulebook)s::bigint))
ORDER BY at DESC, version DESC LIMIT %(limit)s)
UNION ALL
(SELECT v.kind, v.name, trim_scale(b.value)::text, trim_scale(v.value)::text,
    concat_ws(', by ', concat_ws(' ', v.cause, nullif(v.cause_id, '')), nullif(v.author, '')), v.since, v.seq
FROM market_values v LEFT JOIN LATERAL (
    SELECT value FROM market_values b WHERE b.kind = v.kind AND b.key = v.key AND (b.since, b.seq) < (v.since, v.seq)
    ORDER BY b.since DESC, b.seq DESC LIMIT 1) b ON true
WHERE (%(since)s::timestamptz IS NULL OR v.since >= %(since)s)
    AND v.since < coalesce(%(until)s::timestamptz, clock_timestamp())
    AND (%(value_at)s::timestamptz IS NULL OR (v.since, v.seq) < (%(value_at)s, %(value)s::bigint))
    AND (v.kind = 'multiplier' OR %(currency)s::text IS NULL OR %(currency)s = ANY(string_to_array(v.name, '/')))
ORDER BY v.since DESC, v.seq DESC LIMIT %(limit)s)
"""
