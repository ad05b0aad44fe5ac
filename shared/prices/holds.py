"""Holds as rows: automated targets that wait for a person, written in the transaction of their decision."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.postgres import arrays
from shared.postgres.pools import LIST_TIMEOUT_S, Conn, bound_statement
from shared.pricing.currencies import CurrencyCode
from shared.pricing.product import ProductId
from shared.pricing.state import Hold, HoldCode
from shared.wire.fields import AT

HoldStatus = Literal["open", "approved", "refused", "expired", "replaced"]
Answered = Literal["approved", "refused"]
# The beginning and the id of the last hold of a page.
Position = tuple[datetime, UUID]
HOLD_ID = "7b0c2c9e-6f5f-4d0e-9a57-2f6f3f0f2a11"
KEPT_DAYS = 90
_FIRST: Position = (datetime.fromisoformat("0001-01-01T00:00:00+00:00"), UUID(int=0))


class HoldView(msgspec.Struct, frozen=True):
    """A target that waits, or waited, for a person. Amounts are before market, quantity and membership."""

    hold_id: Annotated[UUID, Meta(description="The hold's id.", examples=[HOLD_ID])]
    product_id: ProductId
    currency: CurrencyCode
    price: Annotated[Decimal, Meta(description="The published price, which stays.", examples=["50.00"])]
    target: Annotated[Decimal, Meta(description="The price that the rules ask for.", examples=["19.90"])]
    code: Annotated[HoldCode, Meta(description="hold_above, below_cost or breaker.", examples=["hold_above"])]
    reason: Annotated[str, Meta(description="Why it waits.", examples=["more than 50 % from the price 50.00"])]
    since: Annotated[datetime, Meta(description="The time of its first decision.", examples=[AT])]
    expires_at: Annotated[datetime, Meta(description="It ends by itself then.", examples=[AT])]
    status: Annotated[
        HoldStatus,
        Meta(description="open; approved or refused by a person; expired; replaced: the target waits no more."),
    ]
    answer: Annotated[str | None, Meta(description="The reason of the answer.", examples=["a clearance"])]
    author: Annotated[str | None, Meta(description="Who answered.", examples=["shop"])]
    ended_at: Annotated[datetime | None, Meta(description="The time of its end.", examples=[AT])]
    key_ids: Annotated[
        list[int],
        Meta(
            description="The keys behind the target: they sent one of the product's signals, asked for the "
            "recalculation, or wrote the rules that it followed. With PRICING_FOUR_EYES only another key approves.",
            examples=[[7]],
        ),
    ]


class HoldFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which holds; None: any. `key_id` is behind their targets, `not_key_id` is not."""

    product_id: str | None = None
    category: str | None = None
    code: HoldCode | None = None
    hold_ids: tuple[UUID, ...] | None = None
    key_id: int | None = None
    not_key_id: int | None = None


class HoldChange(NamedTuple):
    """A product's hold before and after a decision; `key_ids` asked for the decision."""

    product_id: str
    currency: str
    price: Decimal
    before: Hold | None
    after: Hold | None
    key_ids: tuple[int, ...] = ()


def write(conn: Conn, changes: Sequence[HoldChange], at: datetime) -> None:
    """Store what decisions did to holds, in their transaction with the products locked.

    A newer target replaces the one of an open hold, which keeps its id, its beginning and the keys behind it.
    """
    ended = [one for one in changes if one.before is not None and not _goes_on(one)]
    if ended:
        end(conn, [one.product_id for one in ended], at)
    held = [(one, one.after) for one in changes if one.after is not None]
    if held:
        columns: dict[str, Any] = {
            name: [getattr(hold, name) for _, hold in held] for name in ("code", "reason", "since", "expires_at")
        }
        columns |= {name: [getattr(one, name) for one, _ in held] for name in ("product_id", "currency", "price")}
        columns |= {"target": [hold.target for _, hold in held]}
        asked = [(one.product_id, key_id) for one, _ in held for key_id in one.key_ids]
        columns |= {"of": [product_id for product_id, _ in asked], "key_id": [key_id for _, key_id in asked]}
        conn.execute(_UPSERT, columns)


def end(conn: Conn, product_ids: Sequence[str], at: datetime) -> None:
    """End the open holds of these products, which are locked: their targets wait no more."""
    conn.execute(_END, {"at": at, "product_id": arrays.texts(product_ids)})


def page(conn: Conn, status: HoldStatus, chosen: HoldFilter, limit: int, after: Position | None) -> list[HoldView]:
    """Holds of a status, the longest waiting first, behind `after`."""
    since, hold_id = after or _FIRST
    bound_statement(conn, LIST_TIMEOUT_S)
    values = _values(status, chosen) | {"since": since, "id": hold_id, "limit": limit}
    return [HoldView(**row) for row in conn.execute(_PAGE, values)]


def count(conn: Conn, status: HoldStatus, chosen: HoldFilter) -> int:
    """The number of holds of a status."""
    [row] = conn.execute(_COUNT, _values(status, chosen)).fetchall()
    return int(row["n"])


def opened(conn: Conn, hold_ids: Sequence[UUID]) -> list[HoldView]:
    """Those of the holds that are open, in the order of their products."""
    return [HoldView(**row) for row in conn.execute(_OPEN, [list(hold_ids)])]


def is_known(conn: Conn, hold_id: UUID) -> bool:
    """Whether there is such a hold, open or not."""
    return bool(conn.execute("SELECT FROM holds WHERE hold_id = %s", [hold_id]).rowcount)


def answer(conn: Conn, hold_ids: Sequence[UUID], status: Answered, reason: str, author: str) -> None:
    """End open holds by a person's answer; the products are locked."""
    conn.execute(_ANSWER, [status, reason, author, list(hold_ids)])


def purge(conn: Conn, limit: int) -> int:
    """Delete up to this many holds that ended 90 days ago; returns their number."""
    return conn.execute(_PURGE, [KEPT_DAYS, limit]).rowcount


def _values(status: HoldStatus, chosen: HoldFilter) -> dict[str, Any]:
    hold_ids = None if chosen.hold_ids is None else list(chosen.hold_ids)
    return msgspec.structs.asdict(chosen) | {"status": status, "hold_ids": hold_ids}


def _goes_on(one: HoldChange) -> bool:
    return one.before is not None and one.after is not None and one.before.since == one.after.since


_END = """
UPDATE holds SET status = CASE WHEN expires_at <= %(at)s THEN 'expired' ELSE 'replaced' END, ended_at = %(at)s
WHERE status = 'open' AND product_id = ANY(%(product_id)s::text[])
"""

# The keys behind a target: those that sent the product's signals, and those that asked for the decision.
_UPSERT = """
WITH behind AS MATERIALIZED (
    SELECT s.product_id, e.key_id
    FROM signals s JOIN market_events e ON e.product_id = s.product_id AND e.id = s.event_id
    WHERE s.product_id = ANY(%(product_id)s::text[]) AND e.key_id IS NOT NULL
    UNION SELECT * FROM unnest(%(of)s::text[], %(key_id)s::bigint[])
)
INSERT INTO holds AS h (product_id, currency, price, target, code, reason, since, expires_at, key_ids)
SELECT f.*, ARRAY(SELECT b.key_id FROM behind b WHERE b.product_id = f.product_id ORDER BY b.key_id)
FROM unnest(%(product_id)s::text[], %(currency)s::text[], %(price)s::numeric[], %(target)s::numeric[],
    %(code)s::text[], %(reason)s::text[], %(since)s::timestamptz[], %(expires_at)s::timestamptz[])
    AS f (product_id, currency, price, target, code, reason, since, expires_at)
ON CONFLICT (product_id) WHERE status = 'open' DO UPDATE SET price = excluded.price, target = excluded.target,
    code = excluded.code, reason = excluded.reason, expires_at = excluded.expires_at,
    key_ids = ARRAY(SELECT DISTINCT unnest(h.key_ids || excluded.key_ids) ORDER BY 1)
"""

_COLUMNS = ", ".join(f"h.{name}" for name in HoldView.__struct_fields__)

_FITTING = """
    h.status = %(status)s AND (%(product_id)s::text IS NULL OR h.product_id = %(product_id)s)
    AND (%(code)s::text IS NULL OR h.code = %(code)s)
    AND (%(category)s::text IS NULL OR EXISTS (
        SELECT FROM products p WHERE p.product_id = h.product_id AND p.category = %(category)s))
    AND (%(hold_ids)s::uuid[] IS NULL OR h.hold_id = ANY(%(hold_ids)s))
    AND (%(key_id)s::bigint IS NULL OR %(key_id)s = ANY(h.key_ids))
    AND (%(not_key_id)s::bigint IS NULL OR %(not_key_id)s <> ALL(h.key_ids))
"""

_COUNT = f"SELECT count(*) AS n FROM holds h WHERE {_FITTING}"  # noqa: S608 # only our own parts

_PAGE = f"""
SELECT {_COLUMNS} FROM holds h WHERE {_FITTING} AND (h.since, h.hold_id) > (%(since)s, %(id)s)
ORDER BY h.since, h.hold_id LIMIT %(limit)s
"""  # noqa: S608 # only names of columns

_OPEN = f"""
SELECT {_COLUMNS} FROM holds h WHERE h.status = 'open' AND h.hold_id = ANY(%s) ORDER BY h.product_id
"""  # noqa: S608 # only names of columns

_ANSWER = """
UPDATE holds SET status = %s, answer = %s, author = %s, ended_at = clock_timestamp()
WHERE status = 'open' AND hold_id = ANY(%s)
"""

_PURGE = """
DELETE FROM holds WHERE hold_id IN (
    SELECT hold_id FROM holds WHERE ended_at < now() - make_interval(days => %s) ORDER BY ended_at LIMIT %s)
"""
