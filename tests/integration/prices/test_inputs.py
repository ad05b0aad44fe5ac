"""The inputs of decisions, as they are read."""

from decimal import Decimal

import msgspec

from shared.postgres.pools import Pool
from shared.prices import inputs
from shared.pricing.product import Content, Tier
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import new_id, product, write


def test_each_fact_of_a_product_is_read_as_it_was_written(pool: Pool, policy: ActivePolicy) -> None:
    """All facts differ, so that none can stand in the place of another."""
    written = product(
        new_id(),
        name="Kettle, 1.7 l, red",
        category="kitchen",
        currency="EUR",
        base_price=Decimal("49.90"),
        cost=Decimal("31.20"),
        stock=120,
        min_price=Decimal("35.00"),
        max_price=Decimal("69.00"),
        strategy="match",
        tiers=(Tier(up_to=9, unit_price=Decimal("49.90")), Tier(up_to=None, unit_price=Decimal("44.90"))),
        brand="Acme",
        tags=("new", "red"),
        content=Content(amount=Decimal(750), unit="ml"),
        tax_class="reduced",
        quantity_step=Decimal("0.5"),
        price_decimals=4,
        map_price=Decimal("47.00"),
        rrp=Decimal("59.00"),
    )
    bare = product(new_id())
    write(pool, policy, written, bare)
    with pool.connection() as conn:
        read = inputs.products_before(conn, [written.product_id, bare.product_id])
    for one in (written, bare):
        assert msgspec.structs.asdict(read[one.product_id]) == msgspec.structs.asdict(one)
    assert set(msgspec.structs.asdict(written)) == {
        name for name, value in msgspec.structs.asdict(written).items() if value != getattr(bare, name)
    }
