"""A product whose price is decided again and again, with a clock of its own: what a worker does, without a database."""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from shared.pricing.decision import Decision, changes_target, decide
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput
from shared.pricing.signal import Signal
from shared.pricing.state import NEW, Past, remember
from tests.support.pricing_examples import NOON, policy, product

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


class Shelf:
    """One product on sale; its first price is decided at `now`."""

    def __init__(self, item: ProductInput | None = None, rules: Policy | None = None, now: datetime = NOON) -> None:
        self.product, self.policy, self.now = item or product(), rules or policy(), now
        self.signals: dict[tuple[str, str], Signal] = {}
        self.state = NEW
        self.history: Past = ()
        self.last = self.decide(by_person=True)

    @property
    def price(self) -> str:
        """The price in force."""
        return str(self.last.published_price)

    @property
    def codes(self) -> list[str | None]:
        """The codes of what was not used."""
        return [line.code for line in self.last.rejected]

    @property
    def rules(self) -> list[str]:
        """The rules that were applied."""
        return [step.rule for step in self.last.steps]

    def decide(self, **by: Any) -> Decision:
        """Decide now, and publish."""
        got = decide(self.product, list(self.signals.values()), self.policy, self.state, self.now, **by)
        past = remember(self.state.past, got.published_price, self.now)
        self.history += past[-1:] if past[-1:] != self.history[-1:] else ()
        self.state = replace(self.state, past=past, hold=got.hold, approved=got.approved)
        self.last = got
        return got

    def take(self, *signals: Signal) -> Decision:
        """Take signals, now where they have no instant, and decide."""
        for signal in signals:
            dated = signal if signal.at else replace(signal, at=self.now)
            self.signals[signal.kind, signal.source] = dated
        return self.decide()

    def write(self, rules: Policy | None = None, **facts: Any) -> Decision:
        """A person changes the product, or the policy."""
        before = self.product, self.policy
        self.product, self.policy = replace(self.product, **facts), rules or self.policy
        changed = changes_target(before, (self.product, self.policy), list(self.signals.values()), self.state, self.now)
        return self.decide(by_person=changed)

    def after(self, time: timedelta) -> "Shelf":
        """The same, later; nothing is decided meanwhile."""
        self.now += time
        return self

    def follow(self, until: timedelta, most: int = 10_000) -> int:
        """Decide at each next due time up to then, and nowhere else; returns the number of decisions."""
        end, count = self.now + until, 0
        while (due := self.last.next_due) is not None and due <= end:
            assert due > self.now
            assert count < most
            self.now, count = due, count + 1
            self.decide()
        self.now = end
        return count
