"""The entries of price lists that a plan writes: checked when it is made, stored by its application."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from shared.catalogue import former_entries, price_lists
from shared.catalogue.price_lists import EntryRow
from shared.errors import InvalidInput
from shared.plans.proposal import Proposal
from shared.postgres.pools import Conn
from shared.prices import list_entries, replaced_facts
from shared.prices.inputs import PricingInputs
from shared.prices.new_versions import Cause
from shared.prices.published import Repriced
from shared.prices.replaced_facts import Replaced
from shared.pricing.entries import MOST_ENTRIES, EntryWrite
from shared.rulebook import parts, revisions
from shared.rulebook.parts import PartName


def check(conn: Conn, proposal: Proposal) -> None:
    """Refuse entries of lists or products that do not exist, and more of a product than a sheet holds.

    Raises:
        InvalidInput: as said; the path leads into the change.
    """
    ids = {product_id for of_list in proposal.entries.values() for product_id in of_list}
    if not ids:
        return
    unknown, held = price_lists.unknown(conn, ids), price_lists.of_products(conn, list(ids))
    for index, change in enumerate(proposal.changes):
        if (written := change.entries) is None:
            continue
        place = f"$.changes[{index}].entries"
        if parts.find(proposal.after, PartName("price_list", written.list)) is None:
            raise InvalidInput("no such price list", f"{place}.list")
        for at, entry in enumerate(written.entries):
            if entry.product_id in unknown and not entry.delete:
                raise InvalidInput(f"no product {entry.product_id!r}", f"{place}.entries[{at}].product_id")
            kept = [each for each in held.get(entry.product_id, ()) if each.list != written.list]
            own = _for_everyone(proposal.entries[written.list][entry.product_id])
            if len(kept) + len(own) > MOST_ENTRIES:
                reason = f"a product may have at most {MOST_ENTRIES} entries without a customer"
                raise InvalidInput(reason, f"{place}.entries[{at}]")


def write(conn: Conn, found: Sequence[PricingInputs], proposal: Proposal, repriced: Repriced, cause: Cause) -> Repriced:
    """Store the entries of these products, which are locked as the lists are, and bring them into their sheets."""
    if not proposal.entries:
        return repriced
    ids = {one.product.product_id for one in found}
    changed: set[str] = set()
    for list_id, of_list in proposal.entries.items():
        own = {product_id: entries for product_id, entries in of_list.items() if product_id in ids}
        if own:
            changed |= _replace(conn, list_id, own, cause)
    put = list_entries.put(conn, sorted(changed), cause)
    sheets = repriced.sheets | {sheet.product_id: sheet for sheet in put.sheets}
    new = tuple(sheet.product_id for sheet in put.sheets if sheet.product_id not in repriced.changed)
    return replace(repriced, sheets=sheets, changed=repriced.changed + new, failed=(*repriced.failed, *put.failed))


def of_deletion(conn: Conn, product_ids: Sequence[str]) -> list[Replaced]:
    """The entries of products that are deleted with them."""
    return [
        Replaced(pair[0], "entries", _json(rows), None, list_id, pair[1])
        for list_id, of_list in sorted(former_entries.in_force(conn, product_ids).items())
        for pair, rows in sorted(of_list.items())
    ]


def _replace(conn: Conn, list_id: str, own: Mapping[str, Sequence[EntryWrite]], cause: Cause) -> set[str]:
    """The products whose entries for everyone changed."""
    revision = revisions.in_force(conn, list_id)
    written = [entry for entries in own.values() for entry in entries]
    pairs = dict.fromkeys((entry.product_id, entry.customer_id or price_lists.EVERYONE) for entry in written)
    rows = [
        price_lists.row_of(entry, list_id, revision, index) for index, entry in enumerate(written) if not entry.delete
    ]
    before = price_lists.of_pairs(conn, list_id, revision, pairs)
    changed = price_lists.replace(conn, list_id, revision, pairs, rows)
    after = price_lists.of_pairs(conn, list_id, revision, changed)
    replaced = [
        Replaced(pair[0], "entries", _json(before.get(pair, ())), _json(after.get(pair, ())), list_id, pair[1])
        for pair in sorted(changed)
    ]
    replaced_facts.note(conn, cause.id, replaced)
    return {product_id for product_id, customer_id in changed if not customer_id}


def _json(rows: Sequence[EntryRow]) -> str | None:
    return replaced_facts.encoded_entries([price_lists.as_write(row) for row in rows])


def _for_everyone(entries: Sequence[EntryWrite]) -> list[EntryWrite]:
    return [entry for entry in entries if entry.customer_id is None and not entry.delete]
