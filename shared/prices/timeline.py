"""A product's timeline: the changes of its price, and between them those of the terms that it has."""

from datetime import datetime
from typing import NamedTuple

from shared.postgres.pools import Conn
from shared.prices import history
from shared.prices.history import PriceChange
from shared.rulebook import term_changes
from shared.rulebook.term_changes import Bounds, TermChange

# Of changes at one instant, later ones in this list come first.
_VALUE, _RULEBOOK, _PRICE = range(3)
_HIGHEST = 2**62

Position = tuple[datetime, int, int]


class Entry(NamedTuple):
    """A change, with its position in the timeline: its instant, its kind, and its number among those."""

    position: Position
    change: PriceChange | TermChange


def entries(
    conn: Conn,
    product_id: str,
    limit: int,
    after: Position | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Entry]:
    """The changes in [since, until) that follow the position `after`, newest first.

    Terms are the rulebook, by versions, the multipliers of markets, and the exchange rates of the product's currency.

    Raises:
        NotFound: there is no such product, and never was.
    """
    prices = history.price_changes(conn, product_id, limit, _behind(after, _PRICE), since=since, until=until)
    behind = Bounds(_behind(after, _RULEBOOK), _behind(after, _VALUE))
    currency = history.currency_of(conn, product_id)
    terms = term_changes.listed(conn, currency, limit, since=since, until=until, after=behind)
    found = [Entry((change.at, _PRICE, change.version), change) for change in prices]
    for change, number in terms:
        found.append(Entry((change.at, _RULEBOOK if change.kind == "rulebook" else _VALUE, number), change))
    return sorted(found, key=lambda entry: entry.position, reverse=True)[:limit]


def _behind(after: Position | None, kind: int) -> tuple[datetime, int] | None:
    """The position of one kind's changes that follow `after`."""
    if after is None:
        return None
    at, of, number = after
    if kind != of:
        number = _HIGHEST if kind < of else -1
    return at, number
