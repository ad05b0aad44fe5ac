"""A market's terms in one currency: multiplier, exchange rate and tax, resolved once for many quotes."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from shared.pricing.bounds import Bounds, bounds
from shared.pricing.money import Rounding
from shared.pricing.ratio import Ratio, rounded
from shared.pricing.rulebook import MarketRules
from shared.pricing.tax import UNCHANGED, TaxForm


class LocalTerms(Struct, frozen=True, eq=False, gc=False):
    """A market's terms for queries in one currency and products of one currency and tax class.

    Attributes:
        market: The market's code.
        rules: The market's rules.
        currency: The query's currency.
        digits: The decimals of that currency.
        multiplier: The market's multiplier.
        factor: The factor from the product's currency to the query's; None: the amount cannot be converted.
        tax: The form in which prices are shown.
        since: They are in force from here on, inclusive.
        until: They are in force up to here, exclusive; None: no end is known.
    """

    market: str
    rules: MarketRules
    currency: str
    digits: int
    multiplier: Decimal
    factor: Ratio | None
    tax: TaxForm
    since: datetime
    until: datetime | None

    def hold(self, at: datetime) -> bool:
        """Whether they are in force at the instant."""
        return at >= self.since and (self.until is None or at < self.until)

    def shown(self, amount: Decimal, places: int, rounding: Rounding) -> Decimal | None:
        """An amount of the product as the market shows it; None without a rate."""
        if self.factor is None:
            return None
        if self.factor is UNCHANGED and self.tax.price is UNCHANGED:
            return amount
        return rounded(Ratio(amount).by(self.factor).by(self.tax.price), places, rounding)

    def bounds(self, own: Bounds, places: int) -> Bounds | None:
        """The product's bounds as the market shows them, in prices of so many decimals; None without a rate."""
        factor, tax = self.factor, self.tax
        if factor is None:
            return None
        if places >= self.digits and factor is tax.price is tax.floor is UNCHANGED:
            return own  # they are in whole minor units
        ceiling = None if own.ceiling is None else Ratio(own.ceiling).by(factor).by(tax.price)
        return bounds(Ratio(own.floor).by(factor).by(tax.floor), ceiling, places)


class InMarket(Struct, frozen=True, gc=False):
    """A product in a market, for queries in one currency.

    Attributes:
        local: The market's terms.
        price: The published price, before the product's tiers; None: there is no rate.
        shown: The list price and the bounds, with the decimals of the currency.
    """

    local: LocalTerms
    price: Ratio | None
    shown: "Shown"


class Shown(Struct, frozen=True, gc=False):
    """A product's list price and bounds as a market shows them; None: there is no rate."""

    list_price: Decimal | None
    bounds: Bounds | None
