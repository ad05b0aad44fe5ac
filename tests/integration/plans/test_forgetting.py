"""A customer who is forgotten is in no table any more; others keep their entries."""

from decimal import Decimal
from uuid import uuid4

from click.testing import CliRunner, Result
from psycopg import sql

from shared.commands.customers import forget_customer
from shared.plans.changes import Change, Deletion, EntriesChange
from shared.pricing.conditions import Condition
from shared.pricing.entries import EntryWrite
from shared.pricing.rulebook import PriceList, Promotion
from tests.integration.plans.shop import Shop


def tables_with(shop: Shop, text: str) -> set[str]:
    """The tables that have this text anywhere."""
    found = set()
    with shop.services.pool.connection() as conn:
        rows = conn.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        for row in rows.fetchall():
            query = sql.SQL("SELECT FROM {} AS t WHERE t::text LIKE %s LIMIT 1").format(sql.Identifier(row["relname"]))
            if conn.execute(query, [f"%{text}%"]).rowcount:
                found.add(row["relname"])
    return found


def forget(shop: Shop, customer_id: str) -> Result:
    return CliRunner().invoke(forget_customer, [customer_id], obj=shop.services.settings)


def test_a_forgotten_customer_is_in_no_table(shop: Shop) -> None:
    customer, other = (f"c-{uuid4().hex}" for _ in range(2))
    first, second = shop.stock(2)

    def entries(amount: int) -> Change:
        written = [EntryWrite(product_id=first, customer_id=one, amount=Decimal(amount)) for one in (customer, other)]
        return Change(entries=EntriesChange(list="contracts", entries=tuple(written)))

    header = Change(price_list=PriceList(id="contracts", kind="override"))
    shop.apply(shop.plan(header, entries(80)).plan_id)
    shop.apply(shop.plan(entries(70), Change(delete=Deletion(product=second))).plan_id)
    alone = EntryWrite(product_id=first, customer_id=customer, amount=Decimal(60))
    waiting = shop.plan(Change(entries=EntriesChange(list="contracts", entries=(alone,))))
    assert {"plans", "price_list_entries"} < tables_with(shop, customer)
    done = forget(shop, customer)
    assert (done.exit_code, "the entries of 1 product, " in done.output) == (0, True), done.output
    assert "the entries in 3 plans" in done.output
    assert tables_with(shop, customer) == set()
    assert {"plans", "price_list_entries"} < tables_with(shop, other)
    assert shop.view(waiting.plan_id).changes == []
    assert "the entries in 0 plans" in forget(shop, customer).output


def test_a_condition_that_names_a_forgotten_customer_is_told(shop: Shop) -> None:
    customer = f"c-{uuid4().hex}"
    for condition in (
        Condition(attribute="customer_id", eq=customer),
        Condition(attribute="customer_id", in_=("c-1", customer)),
    ):
        spring = Promotion(id="spring", percent=Decimal(5), conditions=(condition,))
        shop.apply(shop.plan(Change(promotion=spring)).plan_id)
        told = forget(shop, customer).output
        assert "conditions still name this customer, also in former versions of the rulebook: promotion spring" in told
