"""The breaker's count: which decisions moved too far, and whether they are too many."""

from collections.abc import Set
from datetime import datetime, timedelta

from shared.pricing.decision import Decision
from shared.pricing.money import exact
from shared.pricing.policy import Breaker
from shared.pricing.state import Past, price_at


def counts(rule: Breaker, decision: Decision, past: Past, at: datetime) -> bool:
    """Whether a decision counts: automation's target is more than `change` from the product's price `window_s` ago.

    `past` are the prices before the decision. A product that had no price then does not count. Nor does one whose
    price automation leaves alone: it is paused, or only observed.
    """
    if not decision.is_automated or decision.waits in ("paused", "observe"):
        return False
    before = price_at(past, at - timedelta(seconds=rule.window_s))
    if before is None:
        return False
    with exact():
        return abs(decision.target - before) > rule.change * before


def opens(rule: Breaker, catalogue: int, counted: Set[str], batch: Set[str]) -> bool:
    """Whether a batch would pass max(`share` × catalogue, `min_products`): it is then held, not written.

    Args:
        rule: A `share` of 1 never opens.
        catalogue: The number of products.
        counted: The ids that counted within the last `window_s`.
        batch: The ids of the batch that count.
    """
    with exact():
        moved = len(counted | batch)
        return moved > rule.min_products and moved > rule.share * catalogue
