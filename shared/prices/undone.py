"""The price to which an undo goes back, found in the history of a product."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from psycopg.rows import tuple_row

from shared.postgres import arrays
from shared.postgres.pools import Conn

# The causes of decisions that no person made.
AUTOMATION: Final = frozenset({"event", "task", "clock"})


class PastChange(NamedTuple):
    """A row of the price history.

    Attributes:
        back_to: Of a change that an undo made: the version whose price is in force again. None: it is another one.
    """

    version: int
    old_price: Decimal | None
    cause: str
    cause_id: str
    back_to: int | None = None


class Past(NamedTuple):
    """What an undo finds about a product.

    Attributes:
        found: `restored`: there is a price to go back to; `left`: a person wrote the product since; `created`: it had
            no price before.
        price: That price.
        back_to: Its version; of one that was created, the version before.
        is_direct: Whether no undo has touched the product since.
    """

    found: Literal["restored", "left", "created"]
    price: Decimal | None = None
    back_to: int = 0
    is_direct: bool = True

    @property
    def is_created(self) -> bool:
        """Whether the product had no price before."""
        return self.found == "created"


class Restored(NamedTuple):
    """A new version of a sheet that an undo made, and the version whose price it restores."""

    product_id: str
    version: int
    back_to: int


def look(changes: Sequence[PastChange], is_subject: Callable[[PastChange], bool]) -> Past | None:
    """The price before a subject, where the price in force was caused by it, or by automation after it.

    A change that an undo made stands for those that it took back, so that these count no more. Of a subject with
    several changes those before a person's write are left.

    Args:
        changes: A product's changes since the subject's first one, in the order of their versions.
        is_subject: Whether a change is the subject's.

    Returns:
        None: no change of the subject is in force.
    """
    places = {change.version: index for index, change in enumerate(changes)}
    first: PastChange | None = None
    by_person = False
    index = len(changes) - 1
    while index >= 0:
        change = changes[index]
        if is_subject(change):
            if by_person:
                return Past("left")
            first = change
        elif change.back_to is not None:
            index = places.get(change.back_to, -1)
            continue
        elif change.cause not in AUTOMATION:
            if first is not None:
                break
            by_person = True
        index -= 1
    if first is None:
        return None
    if first.old_price is None:
        return Past("created", None, first.version - 1, all(change.back_to is None for change in changes))
    return Past("restored", first.old_price, first.version - 1)


def changes_since(conn: Conn, product_ids: Sequence[str], since: datetime) -> dict[str, list[PastChange]]:
    """The changes of products since an instant, in the order of their versions."""
    found: dict[str, list[PastChange]] = defaultdict(list)
    with conn.cursor(row_factory=tuple_row) as cursor:
        for product_id, *fields in cursor.execute(_SINCE, {"ids": arrays.texts(product_ids), "since": since}):
            found[product_id].append(PastChange(*fields))
    return found


def note(conn: Conn, restored: Sequence[Restored], at: datetime) -> None:
    """Store which changes of this transaction, none of them before `at`, restored a price."""
    if restored:
        columns = {
            "at": at,
            "product_id": arrays.texts(one.product_id for one in restored),
            "version": arrays.numbers(one.version for one in restored),
            "back_to": arrays.numbers(one.back_to for one in restored),
        }
        conn.execute(_NOTE, columns)


_SINCE = """
SELECT h.product_id, h.version, h.old_price, h.cause, h.cause_id, r.back_to
FROM price_history h LEFT JOIN restored_prices r
    ON r.product_id = h.product_id AND r.version = h.version AND r.recorded_at = h.recorded_at
WHERE h.product_id = ANY(%(ids)s::text[]) AND h.recorded_at >= %(since)s
ORDER BY h.product_id, h.version
"""

_NOTE = """
INSERT INTO restored_prices (recorded_at, product_id, version, back_to)
SELECT h.recorded_at, f.* FROM unnest(%(product_id)s::text[], %(version)s::bigint[], %(back_to)s::bigint[])
    AS f (product_id, version, back_to)
JOIN price_history h ON h.product_id = f.product_id AND h.version = f.version AND h.recorded_at >= %(at)s
"""
