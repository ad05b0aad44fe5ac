"""`just holds`: the targets that wait for a person."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from click.testing import CliRunner

from shared.commands.holds import holds_command
from shared.postgres.pools import Pool
from shared.prices import holds
from shared.prices.holds import HoldChange
from shared.pricing.state import Hold
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id, product, write


def test_amounts_are_listed_in_the_decimals_of_their_currency(
    settings: Settings, pool: Pool, policy: ActivePolicy
) -> None:
    product_id, now = new_id(), datetime.now(UTC)
    write(pool, policy, product(product_id))
    hold = Hold(
        target=Decimal("12.3333333333"), code="hold_above", reason="far", since=now, expires_at=now + timedelta(hours=1)
    )
    with pool.connection() as conn:
        holds.write(conn, [HoldChange(product_id, "USD", Decimal("9.125"), None, hold)], now)
    listed = CliRunner().invoke(holds_command, ["--limit", "1000"], obj=settings).stdout
    with pool.connection() as conn:
        holds.end(conn, [product_id], now)
    [row] = [line for line in listed.splitlines() if product_id in line]
    assert ("9.13 USD" in row, "12.33 USD" in row) == (True, True)
