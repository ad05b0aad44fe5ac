"""The facts, manual prices and entries that an undo brings back: those that are still as its subject wrote them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from shared.catalogue import former_entries, price_lists
from shared.market_events import signals
from shared.plans.contents import Entries
from shared.plans.undo import FormerList, Undo
from shared.postgres.pools import Conn
from shared.prices import replaced_facts
from shared.prices.inputs import PricingInputs
from shared.prices.replaced_facts import Replaced
from shared.pricing.entries import EntryWrite
from shared.pricing.product import ProductInput
from shared.pricing.rulebook import PriceList, Rulebook
from shared.pricing.state import ManualPrice
from shared.rulebook import parts
from shared.rulebook import store as rulebook
from shared.rulebook.parts import PartName

# Stock and cost follow events, too.
_MEASURED = ("stock", "cost")
NEVER = datetime.min.replace(tzinfo=UTC)
Pair = tuple[str, str]
T = TypeVar("T")


class Back(NamedTuple):
    """What goes back, by product.

    Attributes:
        manual_prices: None: there was none.
        entries: Those of a product and customer replace those that it has in the list.
        left: The products that a person wrote since.
    """

    products: dict[str, ProductInput]
    manual_prices: dict[str, ManualPrice | None]
    entries: Entries
    left: set[str]

    @property
    def ids(self) -> set[str]:
        """The products of which something goes back."""
        return {*self.products, *self.manual_prices, *(each for of_list in self.entries.values() for each in of_list)}

    def without(self, product_ids: Iterable[str]) -> "Back":
        """The same without some products."""
        gone = set(product_ids)
        return Back(
            _without(self.products, gone),
            _without(self.manual_prices, gone),
            {list_id: _without(of_list, gone) for list_id, of_list in self.entries.items()},
            self.left,
        )

    def merged(self, other: "Back") -> "Back":
        """The same with that of other products."""
        entries = {
            list_id: self.entries.get(list_id, {}) | other.entries.get(list_id, {})
            for list_id in (*self.entries, *other.entries)
        }
        return Back(
            self.products | other.products,
            self.manual_prices | other.manual_prices,
            entries,
            self.left | other.left,
        )


def find(conn: Conn, found: Sequence[PricingInputs], undo: Undo, after: Rulebook) -> Back:
    """What goes back of these products, unless a person wrote it since.

    Args:
        conn: In a transaction.
        found: The products.
        undo: The undo.
        after: The rulebook after it; entries of lists that it lacks are gone.
    """
    back = Back({}, {}, {}, set())
    if not undo.writes_facts or not found:
        return back
    by_id = {one.product.product_id: one for one in found}
    written = replaced_facts.of_cause(conn, undo.id, list(by_id), undo.since)
    edited: set[tuple[str, str, str]] = set()
    for former in undo.lists:
        if former.new is not None:
            pairs = former_entries.edited(conn, former.list, former.new, list(by_id))
            edited |= {(former.list, *pair) for pair in pairs}
        for row in _of_list(conn, former, list(by_id)):
            written[row.product_id].append(row)
    if not written:
        return back
    measured = signals.measured(conn, list(written))
    held = _entries_now(conn, [one for rows in written.values() for one in rows], after)
    for product_id, rows in written.items():
        for row in rows:
            if row.kind == "product":
                _facts(back, by_id[product_id], row, measured)
            elif row.kind == "manual_price":
                _manual_price(back, by_id[product_id].state.manual, row)
            elif row.list_id in held:
                now = held[row.list_id].get((product_id, row.customer_id), [])
                _entries(back, now, row, is_edited=(row.list_id, product_id, row.customer_id) in edited)
    return back.without(back.left)


def _of_list(conn: Conn, former: FormerList, product_ids: Sequence[str]) -> Iterator[Replaced]:
    """The entries of products that differ between a list's former revision and the one that replaced it."""
    old = former_entries.of_products(conn, former.list, former.old, product_ids)
    new = {} if former.new is None else former_entries.of_products(conn, former.list, former.new, product_ids)
    for pair in sorted({*old, *new}):
        before, after = (
            replaced_facts.encoded_entries([*map(price_lists.as_write, of.get(pair, ()))]) for of in (old, new)
        )
        if before != after:
            yield Replaced(pair[0], "entries", before, after, former.list, pair[1])


def _facts(back: Back, one: PricingInputs, row: Replaced, measured: Mapping[Pair, datetime]) -> None:
    product = one.product
    if row.new is None:  # it was deleted
        if not one.is_priced:
            back.products[product.product_id] = product
        elif product != ProductInput(**replaced_facts.facts(row.old)):
            back.left.add(product.product_id)
        return
    old, new = replaced_facts.facts(row.old), replaced_facts.facts(row.new)
    by_event = {name for name in _MEASURED if measured.get((product.product_id, name), NEVER) > row.replaced_at}
    names = [name for name in old if name not in by_event]
    if all(getattr(product, name) == new[name] for name in names):
        if names:
            back.products[product.product_id] = replace(product, **{name: old[name] for name in names})
    elif any(getattr(product, name) != old[name] for name in names):
        back.left.add(product.product_id)


def _manual_price(back: Back, manual: ManualPrice | None, row: Replaced) -> None:
    old, new = replaced_facts.manual_price(row.old), replaced_facts.manual_price(row.new)
    if manual == new:
        back.manual_prices[row.product_id] = old
    elif manual not in (old, None):
        back.left.add(row.product_id)


def _entries(back: Back, held: Sequence[EntryWrite], row: Replaced, *, is_edited: bool) -> None:
    old, new = replaced_facts.entries(row.old), replaced_facts.entries(row.new)
    if held == new and not is_edited:
        gone = EntryWrite(product_id=row.product_id, customer_id=row.customer_id or None, delete=True)
        back.entries.setdefault(row.list_id, {}).setdefault(row.product_id, []).extend(old or [gone])
    elif held != old:
        back.left.add(row.product_id)


def _entries_now(conn: Conn, rows: Sequence[Replaced], after: Rulebook) -> dict[str, dict[Pair, list[EntryWrite]]]:
    """The entries of products and customers in the lists that were written and are not gone."""
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for row in rows:
        if row.kind == "entries":
            pairs[row.list_id].append((row.product_id, row.customer_id))
    active = rulebook.active(conn).rulebook if pairs else after
    found = {}
    for list_id, of_list in pairs.items():
        header = parts.find(active, PartName("price_list", list_id))
        if parts.find(after, PartName("price_list", list_id)) is not None:
            # A list that the undo brings back has no entries yet.
            revision = header.revision if isinstance(header, PriceList) else None
            held = {} if revision is None else price_lists.of_pairs(conn, list_id, revision, of_list)
            found[list_id] = {pair: [price_lists.as_write(each) for each in own] for pair, own in held.items()}
    return found


def _without(of_products: Mapping[str, T], gone: set[str]) -> dict[str, T]:
    return {product_id: each for product_id, each in of_products.items() if product_id not in gone}
