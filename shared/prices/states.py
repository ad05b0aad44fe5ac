"""The stored state of a product's price: past prices, hold and approval, beside the sheet in its row."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.pricing.decision import Decision
from shared.pricing.state import Hold, ManualPrice, Past, Pause, PriceState, is_over, remember


class StoredState(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The part of a price's state that its decisions write."""

    past: Past = ()
    manual: ManualPrice | None = None
    hold: Hold | None = None
    approved: Decimal | None = None


NOTHING = StoredState()


class NewState(NamedTuple):
    """A state to be stored, as its JSON, with the instant at which the product is due next."""

    product_id: str
    json: str
    next_due: datetime | None


def state_of(document: str | None, price: Decimal, since: datetime) -> StoredState:
    """The state of a price in force.

    Args:
        document: The JSON; None: nothing but the price in force is known.
        price: The price in force: a process of an older release writes it without its state.
        since: The time of its sheet.
    """
    stored = NOTHING if document is None else _state.decode(document)
    if stored.past and stored.past[-1].price == price:
        return stored
    return msgspec.structs.replace(stored, past=remember(stored.past, price, since))


def input_of(stored: StoredState, pauses: tuple[Pause, ...], *, is_stopped: bool) -> PriceState:
    """The state as a decision reads it."""
    return PriceState(
        past=stored.past,
        pauses=pauses,
        manual=stored.manual,
        hold=stored.hold,
        approved=stored.approved,
        is_stopped=is_stopped,
    )


def after(stored: StoredState, decision: Decision, at: datetime) -> StoredState:
    """The state after a decision."""
    past = stored.past
    if not past or past[-1].price != decision.published_price:
        past = remember(past, decision.published_price, at)
    manual = None if stored.manual is not None and is_over(stored.manual.until, at) else stored.manual
    return StoredState(past=past, manual=manual, hold=decision.hold, approved=decision.approved)


def is_same(one: StoredState, other: StoredState) -> bool:
    """Whether two states of the same price need no write: past prices are only forgotten with the next one."""
    return (one.manual, one.hold, one.approved) == (other.manual, other.hold, other.approved)


def encoded(state: StoredState) -> str:
    """The JSON of a state."""
    return msgspec.json.encode(state).decode()


def write(conn: Conn, states: Sequence[NewState]) -> None:
    """Store the states of prices whose sheets stay."""
    if states:
        conn.execute(
            _UPDATE,
            {
                "product_id": arrays.texts(one.product_id for one in states),
                "state": arrays.texts(one.json for one in states),
                "next_due": arrays.instants(one.next_due for one in states),
            },
        )


class Standing(NamedTuple):
    """What of a stored state is shown to people, and the instant at which the product is due next."""

    manual: ManualPrice | None
    hold: Hold | None
    next_due: datetime | None


def standing(conn: Conn, product_id: str, at: datetime) -> Standing:
    """The manual price and the hold in force, of a product with a price."""
    row = conn.execute("SELECT state, next_due FROM prices WHERE product_id = %s", [product_id]).fetchone()
    stored = NOTHING if row is None or row["state"] is None else _state.decode(row["state"])
    manual = None if stored.manual is None or is_over(stored.manual.until, at) else stored.manual
    return Standing(manual, stored.hold, None if row is None else row["next_due"])


def end_holds(conn: Conn, product_ids: Sequence[str]) -> None:
    """Take the hold out of the states of these products, which are locked."""
    conn.execute(_END_HOLDS, {"product_id": arrays.texts(product_ids)})


def set_manual(conn: Conn, product_id: str, manual: str | None) -> None:
    """Set the manual price in the state of a product, which is locked; None: there is none any more."""
    query = _DROP_MANUAL if manual is None else _SET_MANUAL
    conn.execute(query, {"product_id": product_id, "manual": manual})


_state = msgspec.json.Decoder(StoredState)

_DROP_MANUAL = "UPDATE prices SET state = (state::jsonb - 'manual')::text WHERE product_id = %(product_id)s"
_SET_MANUAL = """
UPDATE prices SET state = (coalesce(state, '{}')::jsonb || jsonb_build_object('manual', %(manual)s::jsonb))::text
WHERE product_id = %(product_id)s
"""

_END_HOLDS = """
UPDATE prices SET state = (state::jsonb - 'hold')::text
WHERE product_id = ANY(%(product_id)s::text[]) AND state IS NOT NULL
"""

_UPDATE = """
UPDATE prices p SET state = f.state, next_due = f.next_due
FROM unnest(%(product_id)s::text[], %(state)s::text[], %(next_due)s::timestamptz[]) AS f (product_id, state, next_due)
WHERE p.product_id = f.product_id
"""
