"""Window edges of a rulebook: the instants at which promotions and price lists open and close."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from shared.pricing.rulebook import Rulebook
from shared.pricing.windows import Edge, window


class WindowEdge(NamedTuple):
    """An instant at which a part of the rulebook opens (`from`) or closes (`until`)."""

    at: datetime
    part: Literal["promotion", "price_list"]
    id: str
    edge: Edge


def edges(rulebook: Rulebook) -> list[WindowEdge]:
    """All edges, in the order of time; at one instant, parts close before others open."""
    return sorted(_edges(rulebook), key=lambda one: (one.at, one.edge != "until", one.part, one.id))


def _edges(rulebook: Rulebook) -> Iterator[WindowEdge]:
    for promotion in rulebook.promotions:
        yield from _of("promotion", promotion.id, window(promotion))
    for price_list in rulebook.price_lists:
        yield from _of("price_list", price_list.id, window(price_list))


def _of(
    part: Literal["promotion", "price_list"], part_id: str, instants: tuple[datetime | None, datetime | None]
) -> Iterator[WindowEdge]:
    opens, closes = instants
    if opens is not None:
        yield WindowEdge(opens, part, part_id, "from")
    if closes is not None:
        yield WindowEdge(closes, part, part_id, "until")
