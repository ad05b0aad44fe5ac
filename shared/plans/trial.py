"""The trial of a direct write: what it would do to a sample of its products, before it is made.

A write that moves too many public prices too far is refused: it needs a plan, or a person's confirmation.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import structlog

from shared.catalogue import product_set
from shared.errors import InvalidInput, NotFound, PlanFirst, StatementTimeout, StillInUse, translated
from shared.plans import contents, planning, proposal
from shared.plans.changes import Change
from shared.plans.proposal import Proposal
from shared.postgres.pools import Conn, bound_statement
from shared.prices import breaker
from shared.pricing import breaker as rules
from shared.pricing.money import percent
from shared.rulebook import store as rulebook

log = structlog.get_logger(__name__)

SAMPLE = 1_000
# Each statement of a trial; a catalogue that cannot be sampled in this time lets the write pass.
STATEMENT_S = 1
# For the trials of other writers; a write that waits longer is made untried.
TURN_S = 10
_turn = threading.Lock()

Transaction = Callable[[], AbstractContextManager[Conn]]


class _Sample(NamedTuple):
    proposal: Proposal
    ids: list[str]
    products: int
    limit: int


class _Effect(NamedTuple):
    far: set[str]
    lost: set[str]


def check(transaction: Transaction, *changes: Change, confirm: str = "`?confirm=true`", of: int | None = None) -> None:
    """Try changes on up to 1,000 of their products.

    Args:
        transaction: Opens a transaction of its own.
        changes: The changes, as the write makes them; one that is not valid is left to the write.
        confirm: How a person confirms the write.
        of: The number of products of which the changes are a sample; None: the changes are the whole write.

    Raises:
        PlanFirst: by the sample, more products than the breaker allows would move by more than its `change`, or would
            have no price any more in a market that stays.
    """
    # One at a time in a process: trials at once would hold its connections, while each takes longer.
    if not _turn.acquire(timeout=TURN_S):
        log.warning("a write is not tried: others are", changes=[change.kind for change in changes])
        return
    try:
        with translated():
            with transaction() as conn:
                bound_statement(conn, STATEMENT_S)
                sample = _sample(conn, changes, of)
            if sample is not None:
                with transaction() as conn:
                    effect = _effect(conn, sample)
    except StatementTimeout:
        log.warning("a write is not tried: the sample took too long", changes=[change.kind for change in changes])
        return
    except (InvalidInput, NotFound, StillInUse):
        return  # the write says it
    finally:
        _turn.release()
    if sample is None:
        return
    far = round(len(effect.far | effect.lost) / len(sample.ids) * sample.products)
    if far > sample.limit:
        share = percent(sample.proposal.before.policy.breaker.change)
        lost = " or have no price any more" if effect.lost else ""
        raise _refused(
            f"about {far:,} of {sample.products:,} products would move by more than {share}{lost}",
            sample.limit,
            confirm,
        )


def check_deletion(conn: Conn, products: int, confirm: str) -> None:
    """Refuse the deletion of more products than the breaker lets move.

    Raises:
        PlanFirst: as said.
    """
    catalogue = breaker.catalogue(conn)
    limit = rules.limit(rulebook.active_policy(conn).policy.breaker, catalogue)
    if products > limit:
        raise _refused(f"{products:,} of {catalogue:,} products would be deleted", limit, confirm)


def _refused(effect: str, limit: int, confirm: str) -> PlanFirst:
    remedy = f"make a plan of the change and apply it, or repeat the write with {confirm}"
    return PlanFirst(f"{effect}, and {limit:,} are allowed: {remedy}")


def _sample(conn: Conn, changes: tuple[Change, ...], of: int | None) -> _Sample | None:
    """The products on which the changes are tried; None: they move no price, or of too few products."""
    catalogue = breaker.catalogue(conn)
    limit = rules.limit(rulebook.active_policy(conn).policy.breaker, catalogue)
    if of is not None:
        if of <= limit or not changes:
            return None
    elif all(change.entries is not None for change in changes):
        products = len({product_id for of_list in contents.entries_of(changes).values() for product_id in of_list})
        if products <= limit:
            return None  # before the rulebook is compiled
    proposed = proposal.work_out(conn, changes, rulebook.newest(conn))
    if proposed.public is None and not proposed.moves_published_prices:
        return None
    reach = proposed.reach
    products = of or (catalogue if reach.is_everything else product_set.count(conn, reach))
    if products <= limit:
        return None
    return _Sample(proposed, product_set.sample(conn, reach, SAMPLE), products, limit)


def _effect(conn: Conn, sample: _Sample) -> _Effect:
    """The products of the sample whose price moves too far, and those that lose one in a market that stays."""
    most, after = sample.proposal.before.policy.breaker.change, sample.proposal.terms.after
    part = planning.plan_part(conn, sample.proposal, product_set.of_ids(sample.ids))
    far = {item.product_id for item in part.items if abs(item.change) > most}
    gone = (item for item in part.items if item.old_price is not None and item.new_price is None)
    return _Effect(far, {item.product_id for item in gone if item.market and after.place(item.market) is not None})
