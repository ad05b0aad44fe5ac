"""With a neutral rulebook, a quote by a rulebook is today's quote."""

import msgspec
from hypothesis import given

from shared.pricing.market import Market
from shared.pricing.query import PriceQuery
from shared.pricing.quote import Quote, quote
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import PROPERTY, markets, queries, sheets
from tests.support.shop_examples import quoted, rulebook, values

SAME = tuple(name for name in Quote.__struct_fields__ if name not in ("market", "rejected"))


@PROPERTY
@given(sheets(), markets, queries)
def test_a_neutral_rulebook_gives_todays_figures_and_steps(
    priced: PriceSheet, where: Market, asked: PriceQuery
) -> None:
    today = quote(priced, where, asked, explain=True)
    fields = {name: getattr(asked, name) for name in ("is_prime_member", "quantity", "currency")}
    world = values({where.code: str(where.multiplier)})
    got = quoted(rulebook(), priced, world=world, user_location=where.code, explain=True, **fields)
    for name in SAME:
        assert getattr(got, name) == getattr(today, name), name
    plain = quoted(rulebook(), priced, world=world, user_location=where.code, **fields)
    assert plain == msgspec.structs.replace(got, steps=None, rejected=None)
    assert str(got.final_price) == str(today.final_price)
    assert str(got.total) == str(today.total)
    assert got.reference_price >= got.final_price
    assert [line.reason for line in got.rejected or ()] == [line.reason for line in today.rejected or ()]
