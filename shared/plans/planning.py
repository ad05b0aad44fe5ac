"""The effect of a plan on the products of a partition: the decisions of publication, written nowhere."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from shared.catalogue import staged_imports
from shared.catalogue.product_set import ProductFilter
from shared.plans import quoting, sums
from shared.plans.plan_parts import Item, Part
from shared.plans.proposal import Proposal
from shared.plans.queries import ShopQuery
from shared.plans.sums import Group, Mover, Sums
from shared.postgres.pools import Conn
from shared.prices import inputs
from shared.prices.batches import Batch, Made
from shared.prices.gathering import Gathered, gather
from shared.prices.inputs import PricingInputs
from shared.prices.new_versions import Cause, NewVersion
from shared.pricing.money import exact
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet
from shared.pricing.state import Hold

BOUNDS: Final = ("floor", "ceiling")
_ZERO = Decimal(0)


def plan_part(conn: Conn, proposal: Proposal, chosen: ProductFilter, queries: Sequence[ShopQuery] = ()) -> Part:
    """Decide products as if the changes were in force; nothing is locked, nothing is written.

    Args:
        conn: At the beginning of a transaction, which becomes one snapshot, read-only.
        proposal: The changes.
        chosen: The products of the partition.
        queries: The shop's own queries.
    """
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    proposal = with_imports(conn, proposal, chosen)
    gathered = gather_all(conn, chosen, proposal.products, locks=False)
    made = decide(gathered, proposal, Cause("plan", ""))
    return part_of(gathered, made, proposal, queries)


def with_imports(conn: Conn, proposal: Proposal, chosen: ProductFilter) -> Proposal:
    """The proposal with the products of its imports in the range of a filter."""
    if not proposal.imports:
        return proposal
    return proposal.with_imported(staged_imports.of(conn, proposal.imports, chosen))


def gather_all(
    conn: Conn, chosen: ProductFilter, written: Mapping[str, ProductInput], *, locks: bool = True
) -> Gathered:
    """The inputs of chosen products, and of new ones among the written in their range."""
    gathered = gather(conn, chosen, locks=locks)
    known = {one.product.product_id for one in gathered.found}
    new = inputs.missing(conn, [one for one in written.values() if one.product_id not in known], chosen)
    return gathered._replace(found=gathered.found + new) if new else gathered


def decide(gathered: Gathered, proposal: Proposal, cause: Cause, as_of: datetime | None = None) -> Made:
    """The decisions under the changes, at an instant; None: the time of the reading.

    Where the changes move no published price of a product, nothing is decided: automation goes on without them.
    """
    manual = proposal.manual_prices
    before = {one.product.product_id: one.product for one in gathered.found if one.product.product_id not in manual}
    setting = gathered.setting(proposal.policy, before)
    setting = setting._replace(rules_before=proposal.before.policy, as_of=as_of, terms=proposal.terms.after)
    after = gathered._replace(found=[changed(one, proposal) for one in gathered.found])
    decides_all = proposal.moves_policy

    def cause_of(product_id: str) -> Cause | None:
        if product_id in proposal.deleted:
            return None
        return cause if decides_all or product_id in proposal.products or product_id in manual else None

    return Batch(after, cause_of).decide(setting)


def changed(one: PricingInputs, proposal: Proposal) -> PricingInputs:
    """The inputs with the product and the manual price that the changes write."""
    product_id = one.product.product_id
    if (product := proposal.products.get(product_id)) is not None:
        one = replace(one, product=product)
    if product_id in proposal.manual_prices:
        one = replace(one, state=replace(one.state, manual=proposal.manual_prices[product_id]))
    return one


def items_of(found: Sequence[PricingInputs], made: Made, deleted: Set[str] = frozenset()) -> list[Item]:
    """The old and the new price of each product, moved or not, and the hold that is open then."""
    fresh = {one.sheet.product_id: one for one in made.fresh}
    held = {one.product_id: one.after for one in made.held}
    items = []
    for one in found:
        product_id = one.product.product_id
        item = _item(one, fresh.get(product_id), held.get(product_id, one.state.hold))
        items.append(item._replace(new_price=None, held=None, bound=None) if product_id in deleted else item)
    return items


def part_of(gathered: Gathered, made: Made, proposal: Proposal, queries: Sequence[ShopQuery] = ()) -> Part:
    """What the decisions about a partition move, and their sums."""
    total = Sums()
    fresh = {one.sheet.product_id: one.sheet for one in made.fresh}
    with exact():
        items = items_of(gathered.found, made, proposal.deleted)
        for item in items:
            _count(total, item)
        public = quoting.add_quotes(total, gathered, fresh, proposal, queries)
    total.movers = _movers(items, gathered, fresh)
    total.failed_products = [*gathered.failed, *made.failed][: sums.MOST_FAILURES]
    total.failed = len(gathered.failed) + len(made.failed)
    versions = {one.product.product_id: 0 if one.last is None else one.version for one in gathered.found}
    waited = {one.product.product_id for one in gathered.found if one.state.hold is not None}
    kept = [item for item in items if _is_shown(item) or item.product_id in waited]
    total.released = sum(item.held is None and item.product_id in waited for item in kept)
    return Part(gathered.at, versions, total, kept + public)


def _is_shown(item: Item) -> bool:
    return bool(item.change) or item.held is not None or item.old_price is None or item.new_price is None


def _item(one: PricingInputs, new: NewVersion | None, hold: Hold | None) -> Item:
    product = one.product
    old = None if one.last is None else one.last.published_price
    price = old if new is None else new.sheet.published_price
    return Item(
        product.product_id,
        "",
        product.category,
        product.currency,
        old,
        price,
        _ZERO if price is None else sums.change_of(old, price),
        None if hold is None else hold.target,
        _bound(one, new),
    )


def _bound(one: PricingInputs, new: NewVersion | None) -> str | None:
    """The bound that sets the price: the last one among its steps."""
    if new is not None:
        return next((step.rule for step in reversed(new.sheet.steps) if step.rule in BOUNDS), None)
    sheet = one.sheet or ""
    return next((bound for bound in BOUNDS if f'"rule":"{bound}"' in sheet), None)


def _count(total: Sums, item: Item) -> None:
    total.published.add(item.change)
    if (group := total.categories.get(item.category)) is None:
        group = total.categories[item.category] = Group()
    group.add(item.change)
    total.created += item.old_price is None
    total.deleted += item.new_price is None
    total.held += item.held is not None
    if item.bound is not None:
        total.bounds[item.bound] = total.bounds.get(item.bound, 0) + 1
    if item.change:
        index = sums.class_of(item.change)
        total.histogram[index] = total.histogram.get(index, 0) + 1


def _movers(items: Sequence[Item], gathered: Gathered, fresh: Mapping[str, PriceSheet]) -> list[Mover]:
    """The largest falls and rises, with the explanations of both prices."""
    moved = sorted((item.change, item.product_id, index) for index, item in enumerate(items) if item.change)
    if len(moved) > 2 * sums.MOVERS:
        moved = moved[: sums.MOVERS] + moved[-sums.MOVERS :]
    return [_mover(items[index], gathered.found[index].sheet, fresh[product_id]) for _, product_id, index in moved]


def _mover(item: Item, old: str | None, new: PriceSheet) -> Mover:
    assert item.old_price is not None  # noqa: S101 # it moves
    old_steps = () if old is None else _sheet.decode(old).steps
    return Mover(item.product_id, item.currency, item.old_price, new.published_price, item.change, old_steps, new.steps)


_sheet = msgspec.json.Decoder(PriceSheet)
