"""The bounds of a published price, each with the fact or rule that sets it."""

from decimal import Decimal

from msgspec import Struct

from shared.pricing.draft import Draft
from shared.pricing.money import ceil_to, floor_to, plain
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput

_ZERO, _ONE = Decimal(0), Decimal(1)


class PriceBounds(Struct, frozen=True, gc=False):
    """The bounds in whole minor units, or smaller ones, inside the exact ones; the floor wins over the ceiling.

    Attributes:
        floor: 0 where no bound is known.
        floor_by: The most restrictive bound below.
        ceiling: None: there is none.
        over_list: The multiple of the list price that sets the ceiling; None: `max_price` does.
        least: The floor of targets. It is below `floor` where an automated price below cost waits for a person.
    """

    floor: Decimal
    floor_by: str
    ceiling: Decimal | None
    over_list: Decimal | None
    least: Decimal

    def keep(self, draft: Draft, floor: Decimal) -> None:
        """Bring the price between this floor and the ceiling; the floor comes last."""
        if self.ceiling is not None and draft.price > self.ceiling and draft.price != floor:
            by = "the max_price" if self.over_list is None else f"{plain(self.over_list)} × list price"
            draft.move("ceiling", self.ceiling, f"not above {self.ceiling}, {by}")
        if draft.price < floor:
            draft.move("floor", floor, f"not below {floor}, {self.floor_by}")


def bounds_of(product: ProductInput, policy: Policy, approved: Decimal | None = None) -> PriceBounds:
    """The bounds of a product's published price.

    The floor is the higher of `min_price` and cost × (1 + min_margin), the ceiling the lower of `max_price` and list
    price × max_over_list. A list price of 0 sets no ceiling. `approved` is a price below the cost that a person
    approved: the cost then asks for no more. Call it in `exact()`.
    """
    currency, decimals, cost = product.currency, product.price_decimals, product.cost
    least = _ZERO if product.min_price is None else product.min_price
    floor, floor_by = least, "the min_price"
    if cost is not None and policy.below_cost != "allow":
        by_cost = cost * (_ONE + policy.min_margin)
        if approved is not None and approved < by_cost:
            by_cost = approved
        if by_cost > floor:
            floor, floor_by = by_cost, "cost and margin"
    ceiling, over_list = product.max_price, None
    if product.base_price:
        by_list = product.base_price * policy.max_over_list
        if ceiling is None or by_list < ceiling:
            ceiling, over_list = by_list, policy.max_over_list
    floor = ceil_to(floor, currency, decimals)
    return PriceBounds(
        floor,
        floor_by,
        None if ceiling is None else floor_to(ceiling, currency, decimals),
        over_list,
        ceil_to(least, currency, decimals) if policy.below_cost == "hold" else floor,
    )
