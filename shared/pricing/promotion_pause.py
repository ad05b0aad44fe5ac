"""The pause of automation while a promotion for the product is open."""

from datetime import UTC, datetime

from shared.pricing.compiled import CompiledRulebook
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet
from shared.pricing.state import Pause

_NEVER = datetime.max.replace(tzinfo=UTC)


def promotion_pause(rules: CompiledRulebook, product: ProductInput | PriceSheet, at: datetime) -> Pause | None:
    """The pause by the open promotion that closes last, whatever its conditions; `PriceState.pauses` may hold it.

    A promotion without a window is always in force, and no pause. The policy says whether the pause counts.
    """
    reach = rules.promotions
    everything = () if reach.everything is None else reach.everything.rules
    is_open = [
        rule
        for rule in (*everything, *reach.of(product))
        if (rule.opens is not None or rule.closes is not None)
        and (rule.opens is None or rule.opens <= at)
        and (rule.closes is None or at < rule.closes)
    ]
    if not is_open:
        return None
    last = max(is_open, key=lambda rule: (rule.closes or _NEVER, rule.part.id))
    return Pause(reason=f"promotion {last.part.id} is open", until=last.closes, in_promotion=True)
