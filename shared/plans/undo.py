"""What an undo takes back: one run, event, plan or import, or everything since an instant."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from shared.prices.undone import AUTOMATION, PastChange

UndoKind = Literal["run", "event", "plan", "import", "since"]
_CAUSES = {"run": "task", "plan": "plan", "import": "import"}


class Undo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The subject of an undo.

    Attributes:
        kind: What it is.
        id: Its id; of `since`: empty.
        since: No change of it is older.
        version: Of an event: the version of the sheet that includes it.
        product_id: Of an event: its product.
        source: Of an event: its source.
    """

    kind: UndoKind
    id: str = ""
    since: datetime
    version: int | None = None
    product_id: str = ""
    source: str = ""

    @property
    def pauses(self) -> bool:
        """Whether automation is paused where it would go back to the undone price."""
        return self.kind in ("run", "event", "since")

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
        if self.kind == "event":
            return change.cause == "event" and change.version == self.version
        return (change.cause, change.cause_id) == (_CAUSES[self.kind], self.id)
