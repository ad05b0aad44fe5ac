"""What customers pay before and after a plan: public prices in its markets, and the shop's own queries."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared.plans import public_prices, queries, sums
from shared.plans.plan_parts import Item
from shared.plans.proposal import Proposal
from shared.plans.public_prices import Both, Sheets
from shared.plans.queries import ShopQuery
from shared.plans.sums import Group, Mover, Sums, change_of
from shared.prices.gathering import Gathered
from shared.prices.inputs import PricingInputs
from shared.pricing.compiled import BoundSheet
from shared.pricing.ratio import ZERO
from shared.pricing.rulebook import PriceList
from shared.pricing.sheet import PriceSheet
from shared.rulebook import parts
from shared.rulebook.parts import PartName


def add_quotes(
    total: Sums,
    gathered: Gathered,
    fresh: Mapping[str, PriceSheet],
    proposal: Proposal,
    own: Sequence[ShopQuery],
) -> list[Item]:
    """Add what the products of a partition cost; returns the public prices that move. Call it in `exact()`.

    Args:
        total: The sums of the partition.
        gathered: Its products.
        fresh: The new sheets among theirs.
        proposal: The changes.
        own: The shop's own queries.
    """
    public = proposal.public
    if public is None and not own:
        return []
    at = gathered.at if public is None else public.at(gathered.at)
    items: list[Item] = []
    for one, sheets in _bound(gathered.found, fresh, proposal):
        product = one.product
        if public is not None:
            unpriced: list[str] = []
            for moved in public.moved(proposal.terms, sheets, gathered.at, unpriced):
                change = ZERO if moved.new_price is None else change_of(moved.old_price, moved.new_price)
                items.append(
                    Item(product.product_id, moved.market, product.category, moved.currency, *moved[2:], change)
                )
            for market in unpriced:
                total.unpriced[market] = total.unpriced.get(market, (0, ""))[0] + 1, product.product_id
        if own:
            before, after = zip(proposal.terms, sheets, strict=True)
            queries.add(total.queries, own, before, after, at)
    if public is not None:
        movers = _count(total, items)
        ids = {mover.product_id for mover in movers}
        chosen = [one for one in gathered.found if one.product.product_id in ids]
        sheets_of = {one.product.product_id: sheets for one, sheets in _bound(chosen, fresh, proposal)}
        total.public_movers = [_explained(mover, proposal.terms, sheets_of[mover.product_id], at) for mover in movers]
        total.public_at, total.markets_left_out = at, public.left_out
    return items


def _bound(
    found: Iterable[PricingInputs], fresh: Mapping[str, PriceSheet], proposal: Proposal
) -> Iterator[tuple[PricingInputs, Sheets]]:
    """The products that have a sheet, with it before and after."""
    before, after = proposal.terms
    for one in found:
        if one.last is None or one.sheet is None:
            continue
        old = _sheet.decode(one.sheet)
        new = _with_entries(fresh.get(one.product.product_id, old), proposal)
        yield one, Sheets(BoundSheet(before.rules, old), BoundSheet(after.rules, new))


def _with_entries(sheet: PriceSheet, proposal: Proposal) -> PriceSheet:
    """The sheet with the entries for everyone that the changes write."""
    entries = list(sheet.entries)
    for list_id, of_list in proposal.entries.items():
        if (written := of_list.get(sheet.product_id)) is None:
            continue
        header = parts.find(proposal.after, PartName("price_list", list_id))
        revision = header.revision if isinstance(header, PriceList) else 0
        own = [entry.entry(list_id, revision) for entry in written if entry.customer_id is None and not entry.delete]
        if any(entry.customer_id is None for entry in written):
            entries = [entry for entry in entries if entry.list != list_id] + own
    return sheet if tuple(entries) == sheet.entries else replace(sheet, entries=tuple(entries))


def _count(total: Sums, items: list[Item]) -> list[Mover]:
    """Count public prices that move; returns the largest moves."""
    movers = []
    for item in items:
        total.markets.setdefault(item.market, Group()).add(item.change)
        if item.change and item.old_price is not None and item.new_price is not None:
            index = sums.class_of(item.change)
            total.public_histogram[index] = total.public_histogram.get(index, 0) + 1
            mover = Mover(item.product_id, item.currency, item.old_price, item.new_price, item.change)
            movers.append(replace(mover, market=item.market))
    return sums.largest(movers)


def _explained(mover: Mover, terms: Both, sheets: Sheets, at: datetime) -> Mover:
    """A move with the steps of the public price before and after."""
    old, new = (
        public_prices.public_quote(side, bound, mover.market, at, explain=True)
        for side, bound in zip(terms, sheets, strict=True)
    )
    return replace(mover, old_steps=(old and old.steps) or (), new_steps=(new and new.steps) or ())


_sheet = msgspec.json.Decoder(PriceSheet)
