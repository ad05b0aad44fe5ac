"""The decisions of a batch: of products whose rows are locked, at one instant."""

from collections.abc import Callable, Sequence
from datetime import datetime

from shared.catalogue.failures import ProductFailure
from shared.prices.deciding import Decided, Setting, decided
from shared.prices.gathering import Gathered
from shared.prices.holds import HoldChange
from shared.prices.inputs import PricingInputs
from shared.prices.new_versions import Cause, NewVersion, StoredSheet
from shared.prices.states import NewState
from shared.pricing.entries import PriceEntry

_NOTHING = Decided()
CauseOf = Callable[[str], Cause | None]


class Made:
    """What a batch decided, to be stored.

    Attributes:
        counted: The ids of the products that the breaker counts.
        by_clock: The number of products that were decided because they were due.
    """

    def __init__(self) -> None:
        self.sheets: dict[str, StoredSheet] = {}
        self.fresh: list[NewVersion] = []
        self.kept: list[NewState] = []
        self.held: list[HoldChange] = []
        self.counted: list[str] = []
        self.failed: list[ProductFailure] = []
        self.by_clock = 0

    @property
    def is_stopped(self) -> bool:
        """Whether the open breaker holds a target that it did not hold before."""
        return any(change.after is not None and change.after.code == "breaker" for change in self.held)

    def add(self, other: "Made") -> None:
        """Add what another batch decided."""
        self.sheets |= other.sheets
        self.fresh += other.fresh
        self.kept += other.kept
        self.held += other.held
        self.counted += other.counted
        self.failed += other.failed
        self.by_clock += other.by_clock

    def due(self, found: Sequence[PricingInputs]) -> dict[str, datetime]:
        """The due times that differ from those that the queue has."""
        known = {one.product.product_id: one.next_due for one in found}
        new = [(one.sheet.product_id, one.next_due) for one in self.fresh]
        new += [(one.product_id, one.next_due) for one in self.kept]
        return {product_id: due for product_id, due in new if due is not None and due != known[product_id]}


class Batch:
    """Products with the causes of their decisions and the entries of price lists in force."""

    def __init__(self, gathered: Gathered, cause_of: CauseOf, *, is_holder: bool = False) -> None:
        """A batch.

        Args:
            gathered: The products, and what is read with them.
            cause_of: The cause of each decision; None: the product is only read.
            is_holder: Whether a worker holds the products: those that are due by the clock are decided, too.
        """
        self._found, self._listed, self._in_force = gathered.found, gathered.listed, gathered.in_force
        self._cause_of, self._is_holder = cause_of, is_holder

    def decide(self, setting: Setting) -> Made:
        """Decide each product; one that fails concerns no other one."""
        made = Made()
        for one in self._found:
            self._decide(one, setting, made)
        return made

    def _decide(self, one: PricingInputs, setting: Setting, made: Made) -> None:
        product_id = one.product.product_id
        cause = self._cause_of(product_id)
        if cause is None and self._is_holder and (due_at := _due_at(one, setting)) is not None:
            cause = Cause("clock", due_at.isoformat())
            made.by_clock += 1
        due = None if cause is None or is_decided(one, cause) else cause
        try:
            got = _NOTHING if due is None else decided(one, self._entries(one), setting, due)
        except Exception as error:  # noqa: BLE001 # a pure function of one product: no other one is concerned
            made.failed.append(ProductFailure.of(product_id, error))
            return
        if got.counts:
            made.counted.append(product_id)
        if got.hold is not None:
            made.held.append(got.hold)
        if got.state is not None:
            made.kept.append(got.state)
        if got.version is not None:
            made.fresh.append(got.version)
            made.sheets[product_id] = got.version.stored
        elif one.sheet is not None and one.last is not None:
            made.sheets[product_id] = StoredSheet(product_id, one.last.version, one.sheet, setting.epoch)

    def _entries(self, one: PricingInputs) -> tuple[PriceEntry, ...]:
        """The entries of the product's sheet, without those of former revisions."""
        if one.last is None:
            return self._listed.get(one.product.product_id, ())
        if not one.last.entries:
            return ()
        return tuple(entry for entry in one.last.entries if entry.revision >= self._in_force.get(entry.list, 0))


def _due_at(one: PricingInputs, setting: Setting) -> datetime | None:
    """Since when the product is due by the clock; None: it is not. A hold by the breaker ends when that is closed."""
    hold = one.state.hold
    if hold is not None and hold.code == "breaker" and not setting.is_stopped:
        return setting.at
    return one.next_due if one.next_due is not None and one.next_due <= setting.at else None


def is_decided(one: PricingInputs, cause: Cause) -> bool:
    """Whether an earlier attempt of this cause has decided the product."""
    return cause.is_retry and one.cause == (cause.kind, cause.id)
