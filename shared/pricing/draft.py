"""A price on its way through the rules of the background decision."""

from datetime import datetime
from decimal import Decimal

from shared.pricing.explanation import Code, Rejection, Step
from shared.pricing.money import shown


class Draft:
    """A price between two rules, with the explanation so far and the next instant at which an input changes by itself.

    Attributes:
        price: The price after the last rule.
        next_due: None: no such instant is known.
    """

    __slots__ = ("_shown", "currency", "decimals", "list_price", "next_due", "price", "rejected", "steps")

    def __init__(self, list_price: Decimal, currency: str, reason: str, decimals: int | None = None) -> None:
        self.list_price = self.price = list_price
        self.currency, self.decimals = currency, decimals
        self._shown = shown(list_price, currency)
        self.steps = [Step(rule="list_price", before=self._shown, after=self._shown, reason=reason)]
        self.rejected: list[Rejection] = []
        self.next_due: datetime | None = None

    def move(self, rule: str, price: Decimal, reason: str) -> None:
        """The price after a rule."""
        before, self.price, self._shown = self._shown, price, shown(price, self.currency)
        self.steps.append(Step(rule=rule, before=before, after=self._shown, reason=reason))

    def reject(self, rule: str, code: Code, reason: str) -> None:
        """A rule or a signal that was not used."""
        self.rejected.append(Rejection(rule=rule, code=code, reason=reason))

    def due(self, instant: datetime | None) -> None:
        """An input changes by itself at this instant; None: it does not."""
        if instant is not None and (self.next_due is None or instant < self.next_due):
            self.next_due = instant
