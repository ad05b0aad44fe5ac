"""Plans, imports, people's writes and events in any order, undone in any order, beside a model of what is restored.

The model: what people wrote about a product is a stack. An undo takes its subject off where it lies on top, with the
price that was in force before it; where another write lies above it, the product is left.
"""

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.plans.changes import Change
from shared.prices import inputs
from shared.pricing.product import ProductInput
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop
from tests.integration.plans.test_undo_of_facts import applied, manual
from tests.integration.plans.test_undo_of_imports import import_rows
from tests.integration.plans.undo_shop import UndoShop

# `PRICING_TEST_PRODUCTS=100000 just test-long …` does it once with so many.
MANY = int(os.environ.get("PRICING_TEST_PRODUCTS", "0"))
GROUPS, PLANNED = 3, 300
SIZE = MANY // GROUPS or 1
CHOSEN = st.sets(st.integers(0, GROUPS - 1), min_size=1)
WHICH = st.integers(0, 99)


class Undoing(RuleBasedStateMachine):
    """A shop and its model."""

    def __init__(self, shop: UndoShop, folder: Path) -> None:
        super().__init__()
        self.shop, self.file = shop, folder / "file.csv"
        self.ids = shop.ids(GROUPS * SIZE)
        shop.write(*(product(product_id, category="toys", stock=9) for product_id in self.ids))
        self.stacks: dict[str, list[tuple[object, ProductInput, Decimal]]] = {product_id: [] for product_id in self.ids}
        self.subjects: list[dict[str, UUID]] = []
        self.facts = self._stored()
        self.written = 0

    def _stored(self) -> dict[str, ProductInput]:
        with self.shop.services.pool.connection() as conn:
            return inputs.products_before(conn, self.ids)

    def _new(self, product_id: str) -> ProductInput:
        """Facts that no write had before."""
        return product(product_id, category="toys", stock=9, base_price=Decimal(100 + self.written))

    def _push(self, subject: dict[str, UUID] | None, before: dict[str, Decimal], chosen: list[str]) -> None:
        after = self._stored()
        for product_id in chosen:
            self.stacks[product_id].append((subject, self.facts[product_id], before[product_id]))
            self.facts[product_id] = after[product_id]
        if subject is not None:
            self.subjects.append(subject)

    def _prices(self) -> dict[str, Decimal]:
        prices = self.shop.prices()
        return {product_id: prices[product_id].price for product_id in self.ids}

    def _write(
        self, groups: set[int], write: Callable[[list[ProductInput]], dict[str, UUID] | None], most: int = SIZE
    ) -> None:
        self.written += 1
        places = [group * SIZE + place for group in sorted(groups) for place in range(min(SIZE, most))]
        chosen, before = [self.ids[place] for place in places], self._prices()
        self._push(write([self._new(product_id) for product_id in chosen]), before, chosen)

    @rule(groups=CHOSEN)
    def plan(self, groups: set[int]) -> None:
        self._write(groups, lambda new: {"plan": applied(self.shop, *(Change(product=one) for one in new))}, PLANNED)

    @rule(groups=CHOSEN, price=st.integers(60, 140))
    def plan_with_manual_prices(self, groups: set[int], price: int) -> None:
        def write(new: list[ProductInput]) -> dict[str, UUID]:
            changes = [Change(product=one) for one in new]
            changes += [manual(one.product_id, str(price)) for one in new]
            return {"plan": applied(self.shop, *changes)}

        self._write(groups, write, PLANNED // 2)

    @rule(groups=CHOSEN)
    def imported(self, groups: set[int]) -> None:
        def write(new: list[ProductInput]) -> dict[str, UUID]:
            rows = [f"{one.product_id},{one.name},toys,USD,{one.base_price},9" for one in new]
            return {"import_": import_rows(self.shop, self.file, *rows)}

        self._write(groups, write)

    @rule(groups=CHOSEN)
    def written_by_a_person(self, groups: set[int]) -> None:
        def write(new: list[ProductInput]) -> None:
            self.shop.write(*new)

        self._write(groups, write)

    @rule(group=st.integers(0, GROUPS - 1), prices=st.lists(st.integers(70, 130), min_size=1, max_size=3))
    def storm(self, group: int, prices: list[int]) -> None:
        for price in prices:
            self.shop.competitor(self.ids[group * SIZE], f"{price}.00")

    @rule()
    def run(self) -> None:
        self.shop.run(*self.ids)

    @rule(which=WHICH)
    def undo(self, which: int) -> None:
        if not self.subjects:
            return
        subject = self.subjects[which % len(self.subjects)]
        prices, expected = self._prices(), {}
        for product_id, stack in self.stacks.items():
            places = [place for place, (of, _, _) in enumerate(stack) if of is subject]
            if places and places[0] < len(stack) - 1:
                expected[product_id] = "left"
            elif places:
                expected[product_id] = "restored"
                _, self.facts[product_id], prices[product_id] = stack.pop()
        arguments: dict[str, Any] = dict(subject)
        notes = self.shop.notes(self.shop.undo(**arguments))
        assert notes == expected
        assert self._prices() == prices
        if "left" not in expected.values():
            state = self._state()
            assert (self.shop.undo(**arguments).result or {})["undo"] == {}
            assert self._state() == state

    def _state(self) -> list[Any]:
        return [*self.shop.digest()] if MANY else self.shop.sheets()

    @invariant()
    def facts_are_those_of_the_model(self) -> None:
        assert self._stored() == self.facts


@pytest.mark.long
def test_what_is_written_in_any_order_is_undone_in_any_order(shop: Shop, tmp_path: Path) -> None:
    class OfShop(Undoing):
        def __init__(self) -> None:
            super().__init__(UndoShop(shop.services), tmp_path)

    chosen = settings(
        max_examples=1 if MANY else 6, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(OfShop, settings=chosen)
