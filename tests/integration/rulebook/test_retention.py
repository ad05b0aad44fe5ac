"""Rulebooks and market values are kept for as long as the price history needs them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from shared.postgres.pools import Conn
from shared.pricing.rulebook import NEUTRAL, Promotion
from shared.rulebook import retention, store, values
from shared.rulebook.past import PastTerms
from shared.rulebook.values import By, NewValue

BY = By("ann", "test")
KEPT_DAYS = 400
# The oldest instant of which a price is kept.
BEGINS = datetime.now(UTC) - timedelta(days=KEPT_DAYS)


def ago(conn: Conn, version: int, days: int) -> None:
    """Let a version of the rulebook be so many days old."""
    conn.execute("UPDATE rulebooks SET at = now() - make_interval(days => %s) WHERE version = %s", [days, version])


def value_ago(conn: Conn, version: int, days: int) -> None:
    """Let a version of the market values be so many days old."""
    at = datetime.now(UTC) - timedelta(days=days)
    query = "UPDATE market_values SET since = %(at)s, recorded_at = %(at)s, occurred_at = %(at)s WHERE version = %(v)s"
    conn.execute(query, {"at": at, "v": version})


def versions(conn: Conn) -> list[int]:
    return sorted(view.version for view in store.listed(conn, 100))


def test_rulebooks_that_no_kept_price_needs_are_deleted(conn: Conn) -> None:
    for percent in range(1, 6):
        store.publish(conn, replace(NEUTRAL, promotions=(Promotion(id="spring", percent=Decimal(percent)),)), BY)
    for version, days in enumerate((900, 800, 700, 500, 450, 410), start=1):
        ago(conn, version, days)
    conn.execute(
        "INSERT INTO plans (plan_id, author, changes, rulebook_version, values_version, task_id)"
        " VALUES (gen_random_uuid(), 'ann', '[]', 2, 0, gen_random_uuid())"
    )
    before = PastTerms().as_of(conn, BEGINS).rules.version
    assert retention.purge(conn, 1, KEPT_DAYS) == 1
    assert versions(conn) == [2, 3, 4, 5, 6]
    assert retention.purge(conn, 100, KEPT_DAYS) == 2
    assert versions(conn) == [2, 5, 6]
    assert retention.purge(conn, 100, KEPT_DAYS) == 0
    assert PastTerms().as_of(conn, BEGINS).rules.version == before


def test_market_values_that_no_kept_price_needs_are_deleted(conn: Conn) -> None:
    ago(conn, 1, 900)
    for version, days in enumerate((900, 800, 450, 300), start=1):
        assert values.add(conn, [NewValue("multiplier", "NY", Decimal(version))], BY) == version
        value_ago(conn, version, days)
    assert values.add(conn, [NewValue("multiplier", "LA", Decimal(7))], BY) == 5
    value_ago(conn, 5, 900)
    multiplier = PastTerms().as_of(conn, BEGINS).place("NY")
    assert retention.purge(conn, 100, KEPT_DAYS) == 2
    rows = conn.execute("SELECT version FROM market_values ORDER BY version").fetchall()
    assert [row["version"] for row in rows] == [3, 4, 5]
    after = PastTerms().as_of(conn, BEGINS).place("NY")
    assert multiplier is not None
    assert after is not None
    assert multiplier.multiplier(BEGINS)[0] == after.multiplier(BEGINS)[0] == 3
    assert (values.newest(conn), retention.purge(conn, 100, KEPT_DAYS)) == (5, 0)
