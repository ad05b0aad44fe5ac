"""Tax: amounts brought from the form in which they are written to the form that a market shows."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from shared.pricing.money import Rounding
from shared.pricing.ratio import ONE, ZERO, Ratio, add, multiply, rounded, subtract
from shared.pricing.rulebook import Form, MarketRules, RulebookPolicy

UNCHANGED = Ratio(ONE)


class Tax(Struct, frozen=True, gc=False, kw_only=True):
    """The tax of a total. `included`: the total contains it; otherwise it comes on top."""

    rate: Annotated[Decimal, Meta(description="The rate, a share.", examples=["0.19"])]
    amount: Annotated[Decimal, Meta(description="The tax of the total.", examples=["7.98"])]
    included: Annotated[bool, Meta(description="Whether the total contains it.", examples=[True])]


class TaxForm(Struct, frozen=True):
    """One tax class in one market.

    Attributes:
        rate: The market's rate; None: the market has none, and no tax is answered.
        show: The form of the prices shown.
        price: The factor from a written price to the shown one.
        floor: The factor from a written floor to the shown one: its net amount stays the same.
        cost: The factor from a cost, which is net, to the form in which prices are written.
    """

    rate: Decimal | None = None
    show: Form = "gross"
    price: Ratio = UNCHANGED
    floor: Ratio = UNCHANGED
    cost: Ratio = UNCHANGED


def tax_form(policy: RulebookPolicy, home: MarketRules | None, market: MarketRules, tax_class: str) -> TaxForm:
    """How amounts of the tax class, written as the policy says with home's rate, are shown in the market."""
    at_home = _factor(home.tax_rates.get(tax_class) if home is not None else None)
    rate = market.tax_rates.get(tax_class)
    here = _factor(rate)

    def shown(keep: Form) -> Ratio:
        num = den = ONE
        if policy.amounts != keep:
            num, den = (num, at_home) if keep == "net" else (at_home, den)
        if keep != market.show:
            num, den = (num, multiply(den, here)) if keep == "gross" else (multiply(num, here), den)
        return UNCHANGED if num == den else Ratio(num, den)

    cost = at_home if policy.amounts == "gross" else ONE
    return TaxForm(
        rate=rate,
        show=market.show,
        price=shown(market.keep),
        floor=shown("net"),
        cost=UNCHANGED if cost == ONE else Ratio(cost),
    )


def tax_of(total: Decimal, unit: Decimal | None, quantity: Decimal, form: TaxForm, places: int, mode: Rounding) -> Tax:
    """The tax of a total, so that net and tax add up to gross.

    Args:
        total: The total as shown.
        unit: The unit price, where the tax is rounded by unit; None: it is rounded for the line.
        quantity: The quantity of the total.
        form: Has a rate.
        places: Decimals of the currency.
        mode: The policy's rounding.
    """
    rate = form.rate or ZERO
    gross = _factor(rate)
    included = form.show == "gross"
    base = total if unit is None else unit
    if included:
        other = rounded(Ratio(base, gross), places, mode)
        if unit is not None:
            other = rounded(Ratio(multiply(other, quantity)), places, mode)
        return Tax(rate=rate, amount=subtract(total, other), included=True)
    amount = rounded(Ratio(multiply(base, rate)), places, mode)
    if unit is not None:
        amount = rounded(Ratio(multiply(amount, quantity)), places, mode)
    return Tax(rate=rate, amount=amount, included=False)


def _factor(rate: Decimal | None) -> Decimal:
    return ONE if not rate else add(ONE, rate)
