"""A product's timeline: prices and terms in one order, page by page."""

from decimal import Decimal

from shared.postgres.pools import Pool
from shared.prices import timeline
from shared.prices.history import PriceChange
from shared.rulebook import values
from shared.rulebook.store import ActivePolicy
from shared.rulebook.values import By, NewValue
from tests.integration.catalogue_examples import new_id, product, write


def test_pages_of_any_size_have_every_change_once(pool: Pool, policy: ActivePolicy) -> None:
    product_id, by = new_id(), By("tester", "a test")
    code = f"M-{product_id}"
    write(pool, policy, product(product_id, base_price=Decimal("100")))
    with pool.connection() as conn:
        # Two values of one write are of one instant.
        values.add(
            conn, [NewValue("multiplier", code, Decimal("1.1")), NewValue("multiplier", f"{code}b", Decimal(2))], by
        )
        values.add(conn, [NewValue("exchange_rate", "EUR/USD", Decimal("1.1"))], by)
        values.add(conn, [NewValue("exchange_rate", "EUR/JPY", Decimal("160"))], by)
    write(pool, policy, product(product_id, base_price=Decimal("90")))
    with pool.connection() as conn:
        whole = timeline.entries(conn, product_id, 1_000)
        assert [entry.position for entry in whole] == sorted((entry.position for entry in whole), reverse=True)
        shown = [
            ("price", str(entry.change.new_price))
            if isinstance(entry.change, PriceChange)
            else (entry.change.kind, entry.change.name or entry.change.after)
            for entry in whole
        ]
        assert shown[:5] == [
            ("price", "90.00"), ("exchange_rate", "EUR/USD"), ("multiplier", f"{code}b"), ("multiplier", code),
            ("price", "100.00"),
        ]  # fmt: skip
        assert "rulebook" in {kind for kind, _ in shown}
        for size in (1, 2, 3):
            pages: list[timeline.Entry] = []
            while len(pages) < 8:
                page = timeline.entries(conn, product_id, size, pages[-1].position if pages else None)
                assert page
                pages += page
            assert pages == whole[: len(pages)]
