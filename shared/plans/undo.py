"""What an undo takes back: one run, event, plan or import, or everything since an instant."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from shared.market_events.replaced_signals import Replaced
from shared.prices.undone import AUTOMATION, PastChange

UndoKind = Literal["run", "event", "plan", "import", "since"]
_CAUSES = {"run": "task", "plan": "plan", "import": "import"}


class FormerList(Struct, frozen=True):
    """A list whose entries of the revision `old` come back; `new` replaced them, None: the list was deleted."""

    list: str
    old: int
    new: int | None = None


class Undo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The subject of an undo.

    Attributes:
        kind: What it is.
        id: Its id; of `since`: empty.
        since: No change of it is older.
        until: Of a run, a plan or an import: no change of it is later.
        version: Of an event: the version of the sheet that includes it.
        product_id: Of an event: its product; empty: its market.
        source: Of an event: its source.
        lists: The lists whose former entries come back: of an import of prices, or of a plan that deleted lists.
    """

    kind: UndoKind
    id: str = ""
    since: datetime
    until: datetime | None = None
    version: int | None = None
    product_id: str = ""
    source: str = ""
    lists: tuple[FormerList, ...] = ()

    @property
    def pauses(self) -> bool:
        """Whether automation is paused where it would go back to the undone price."""
        return self.kind in ("run", "event", "since")

    @property
    def writes_facts(self) -> bool:
        """Whether the subject may have written facts, manual prices or entries of products."""
        return self.kind in ("plan", "import")

    @property
    def writes_sheets(self) -> bool:
        """Whether a price sheet may differ afterwards: an event of a market concerns its multiplier alone."""
        return self.kind != "event" or bool(self.product_id)

    @property
    def name(self) -> str:
        """The subject in words."""
        if self.kind == "since":
            return f"everything since {self.since.isoformat()}"
        return f"{self.kind} {self.id}"

    def made(self, change: PastChange) -> bool:
        """Whether a change of a price is the subject's."""
        if self.kind == "since":
            return change.cause in AUTOMATION
        if self.kind == "import" and self.lists:
            return False  # entries decide no published price
        if self.kind == "event":
            return change.cause == "event" and change.version == self.version
        return (change.cause, change.cause_id) == (_CAUSES[self.kind], self.id)

    def applied(self, signal: Replaced) -> bool:
        """Whether the subject applied a signal."""
        if signal.replaced_at < self.since or (self.until is not None and signal.replaced_at > self.until):
            return False
        if self.kind == "run":
            return signal.event_id == "feed"
        return self.kind == "since" or (self.kind == "event" and signal.event_id == self.id)
