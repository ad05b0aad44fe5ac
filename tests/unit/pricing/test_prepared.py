"""What is prepared once per rule."""

from decimal import Decimal
from itertools import count

from shared.pricing.market_rules import CostPlusRule
from shared.pricing.prepared import Prepared


def rule(markup: int) -> CostPlusRule:
    return CostPlusRule(markup=Decimal(markup))


def test_a_rule_is_prepared_once_and_an_equal_one_by_itself() -> None:
    numbers = count()
    prepared = Prepared[CostPlusRule, int](lambda _: next(numbers))
    first, equal = rule(1), rule(1)
    assert [prepared.of(one) for one in (first, equal, first, equal)] == [0, 1, 0, 1]


def test_a_rule_never_gets_what_was_prepared_for_one_that_is_gone() -> None:
    prepared = Prepared[CostPlusRule, Decimal](lambda one: one.markup)
    assert [prepared.of(rule(markup)) for markup in range(100)] == list(map(Decimal, range(100)))
