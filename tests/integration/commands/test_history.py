"""`just history`: a product's price changes with their causes."""

from decimal import Decimal

from click.testing import CliRunner, Result

from shared.commands.history import history_command
from shared.postgres.pools import Pool
from shared.prices import published
from shared.rulebook import values
from shared.rulebook.store import ActivePolicy
from shared.rulebook.values import By, NewValue
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id, product, write


def test_the_changes_of_a_product_are_listed_newest_first(settings: Settings, pool: Pool, policy: ActivePolicy) -> None:
    def just(*arguments: str) -> Result:
        return CliRunner().invoke(history_command, arguments, obj=settings)

    product_id = new_id()
    for price in ("100", "90"):
        write(pool, policy, product(product_id, base_price=Decimal(price)))
    with pool.connection() as conn:
        published.delete(conn, product_id)
    lines = [line.split() for line in just(product_id).stdout.splitlines()]
    rows = [line for line in lines if line and "price," in line]
    assert [row[4] for row in rows] == ["3", "2", "1"]
    assert "deleted" in rows[0]
    assert rows[1][5:10] == ["100.00", "USD", "90.00", "USD", "write"]
    assert not [line for line in just(product_id, "--until", "2020-01-01").stdout.splitlines() if "write" in line]
    with pool.connection() as conn:
        code = f"M-{product_id}"
        by = By("tester", "a test")
        values.add(conn, [NewValue("multiplier", code, Decimal("1.10"))], by)
        values.add(conn, [NewValue("multiplier", code, Decimal("1.20"))], by)
        values.add(conn, [NewValue("multiplier", code, None)], by)
    said = [" ".join(line.split()[2:]) for line in just(product_id).stdout.splitlines() if f"market {code}" in line]
    assert said == [f"market {code} {change} a test, by tester" for change in ("1.2 none", "1.1 1.2", "1.1")]
    assert "rulebook" in just(product_id, "--limit", "1000").stdout
    assert f"market {code}" not in just(product_id, "--prices").stdout
    unknown = just("nobody")
    assert (unknown.exit_code, "no product 'nobody'" in unknown.stderr) == (1, True)
