"""Markets: a small table, which every API process holds as a whole; each market has a version."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from shared.postgres.pools import AsyncPool, Conn
from shared.pricing.market import DEFAULT_MARKET_CODE, Market

# The shipped multipliers by location; DEFAULT is for unknown locations.
SHIPPED = {
    DEFAULT_MARKET_CODE: Decimal("0.95"),
    "NY": Decimal("1.10"),
    "LA": Decimal("1.05"),
    "MIA": Decimal("0.98"),
    "SF": Decimal("1.12"),
    "CHI": Decimal("1.00"),
    "LON": Decimal("1.08"),
    "TYO": Decimal("1.04"),
    "KWI": Decimal("1.02"),
}


async def load(pool: AsyncPool) -> Mapping[str, Market]:
    """All markets by code."""
    async with pool.connection() as conn:
        rows = await (await conn.execute("SELECT code, multiplier, version FROM markets")).fetchall()
    return {row["code"]: Market(**row) for row in rows}


def change(conn: Conn, code: str, multiplier: Decimal, occurred_at: datetime, event_id: str) -> int | None:
    """Set a market's multiplier; returns its version, or None where a later event has set it already.

    The same event again keeps the version.
    """
    row = conn.execute(
        """
        INSERT INTO markets AS m (code, multiplier, occurred_at, event_id) VALUES (%s, %s, %s, %s)
        ON CONFLICT (code) DO UPDATE SET multiplier = excluded.multiplier,
            version = m.version + ((m.occurred_at, m.event_id) < (excluded.occurred_at, excluded.event_id))::integer,
            occurred_at = excluded.occurred_at, event_id = excluded.event_id
        WHERE (m.occurred_at, m.event_id) <= (excluded.occurred_at, excluded.event_id)
        RETURNING version
        """,
        [code, multiplier, occurred_at, event_id],
    ).fetchone()
    return int(row["version"]) if row else None


def ensure_shipped(conn: Conn) -> None:
    """Add the shipped markets that are missing; those that exist keep their figures."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO markets (code, multiplier) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            list(SHIPPED.items()),
        )
