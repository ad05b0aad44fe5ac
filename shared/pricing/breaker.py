"""The breaker's count: which decisions moved too far, and whether they are too many."""

import math
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
    if len(past) == 1 and decision.target == past[0].price:
        return False  # most decisions of a run
    before = price_at(past, at - timedelta(seconds=rule.window_s))
    if before is None:
        return False
    with exact():
        return abs(decision.target - before) > rule.change * before


def opens(rule: Breaker, catalogue: int, moved: int) -> bool:
    """Whether a batch would pass max(`share` × catalogue, `min_products`): it is then held, not written.

    Args:
        rule: A `share` of 1 never opens.
        catalogue: The number of products.
        moved: The number of products that counted within the last `window_s`, with those of the batch.
    """
    return moved > limit(rule, catalogue)


def limit(rule: Breaker, catalogue: int) -> int:
    """The number of products above which the breaker opens."""
    with exact():
        return max(rule.min_products, math.floor(rule.share * catalogue), catalogue if rule.share == 1 else 0)
