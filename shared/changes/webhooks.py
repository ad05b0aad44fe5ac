"""Webhooks as rows: what each endpoint wants, and how far it has got; the rows are the queue of deliveries."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from shared.changes.entries import ChangeType, Wanted
from shared.errors import NotFound
from shared.postgres.pools import Conn
from shared.wire.fields import AT

# A message that was lost is enqueued again after this.
REDELIVER_S = 30
# Longer than any attempt lasts.
LEASE_S = 60
# The waits after failures double from the first to the longest.
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
SUSPENDED_AFTER = timedelta(days=3)
FORMER_SECRET_FOR = timedelta(hours=24)
MOST_WEBHOOKS = 1_000
ERROR_CHARACTERS = 300

Status = Literal["active", "suspended"]


class WebhookView(msgspec.Struct, frozen=True):
    """A webhook and its state; never its secret."""

    webhook_id: Annotated[str, Meta(description="Its id.", examples=["search-index"])]
    url: Annotated[str, Meta(description="Its address.", examples=["https://shop.example.com/prices"])]
    types: Annotated[list[str], Meta(description="The types of changes that it receives.", examples=[["prices"]])]
    product_ids: Annotated[list[str], Meta(description="Only these products; empty: all.", examples=[[]])]
    category: Annotated[str | None, Meta(description="Only this category; null: all.", examples=["toys"])]
    status: Annotated[Status, Meta(description="active; suspended: nothing is sent.", examples=["active"])]
    position: Annotated[int, Meta(description="The last change that was delivered, or not wanted.", examples=[4711])]
    behind: Annotated[int, Meta(description="Changes in the log behind it; at most 10,000 are counted.", examples=[0])]
    failures: Annotated[int, Meta(description="Attempts that failed since the last success.", examples=[0])]
    failing_since: Annotated[
        datetime | None, Meta(description="The first of them; null: the last attempt succeeded.", examples=[None])
    ]
    last_error: Annotated[str | None, Meta(description="Why the last one failed.", examples=["it answered 500"])]
    next_at: Annotated[datetime, Meta(description="The time of the next attempt, where it failed.", examples=[AT])]
    delivered_at: Annotated[datetime | None, Meta(description="The last success; null: none.", examples=[AT])]
    created_at: Annotated[datetime, Meta(description="The time at which it was made.", examples=[AT])]
    author: Annotated[str, Meta(description="The key that made it, or just (USER).", examples=["shop"])]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a person writes."""

    url: str
    types: tuple[ChangeType, ...]
    product_ids: tuple[str, ...] = ()
    category: str | None = None


class Delivery(NamedTuple):
    """An attempt that this worker may make.

    Attributes:
        secrets: The secrets that sign, the newest first.
        until: The end of the batch; None: it is a new one.
        failures: Attempts that failed before.
    """

    webhook_id: str
    url: str
    wanted: Wanted
    secrets: tuple[str, ...]
    position: int
    until: int | None
    attempt: int
    failures: int
    failing_since: datetime | None


def new_secret() -> str:
    """A new secret, as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def put(conn: Conn, webhook_id: str, endpoint: Endpoint, author: str) -> str | None:
    """Write a webhook; returns the secret of a new one. A new one begins with the next change.

    A webhook that was suspended is active again, and goes on where it was.
    """
    secret = new_secret()
    values = msgspec.structs.asdict(endpoint) | {"webhook_id": webhook_id, "author": author, "secret": secret}
    values |= {"types": list(endpoint.types), "product_ids": list(endpoint.product_ids)}
    [row] = conn.execute(_PUT, values).fetchall()
    return secret if row["is_new"] else None


def count(conn: Conn) -> int:
    """The number of webhooks."""
    [row] = conn.execute("SELECT count(*) AS n FROM webhooks").fetchall()
    return int(row["n"])


def page(conn: Conn, limit: int, after: str | None = None) -> list[WebhookView]:
    """Webhooks in the order of their ids, behind the id `after`."""
    query = f"{_VIEW} WHERE webhook_id > %s ORDER BY webhook_id LIMIT %s"
    return [WebhookView(**row) for row in conn.execute(query, [after or "", limit])]


def view(conn: Conn, webhook_id: str) -> WebhookView:
    """A webhook.

    Raises:
        NotFound: there is none.
    """
    row = conn.execute(f"{_VIEW} WHERE webhook_id = %s", [webhook_id]).fetchone()
    if row is None:
        raise NotFound(f"no webhook {webhook_id!r}")
    return WebhookView(**row)


def delete(conn: Conn, webhook_id: str) -> bool:
    """Delete a webhook; an attempt under way ends without effect."""
    return conn.execute("DELETE FROM webhooks WHERE webhook_id = %s", [webhook_id]).rowcount == 1


def rotate(conn: Conn, webhook_id: str, now: datetime) -> str:
    """Give a webhook a new secret, and return it; the former one also signs for a day.

    Raises:
        NotFound: there is none.
    """
    secret = new_secret()
    values = {"id": webhook_id, "secret": secret, "until": now + FORMER_SECRET_FOR}
    if not conn.execute(_ROTATE, values).rowcount:
        raise NotFound(f"no webhook {webhook_id!r}")
    return secret


def resume(conn: Conn, webhook_id: str, position: int | None = None) -> None:
    """Send again at once, behind `position` (None: where it was), also where it was suspended.

    Raises:
        NotFound: there is none.
    """
    if not conn.execute(_RESUME, {"id": webhook_id, "position": position}).rowcount:
        raise NotFound(f"no webhook {webhook_id!r}")


def secrets_of(conn: Conn, webhook_id: str, now: datetime) -> tuple[str, ...]:
    """The secrets that sign, the newest first.

    Raises:
        NotFound: there is none.
    """
    row = conn.execute(
        "SELECT secret, former_secret, former_until FROM webhooks WHERE webhook_id = %s", [webhook_id]
    ).fetchone()
    if row is None:
        raise NotFound(f"no webhook {webhook_id!r}")
    return _secrets(row, now)


def take_due(conn: Conn, limit: int = 100) -> list[str]:
    """The webhooks for which a message is to be enqueued; each is taken again later if the message is lost."""
    rows = conn.execute(_TAKE, {"redeliver_s": REDELIVER_S, "limit": limit})
    return [row["webhook_id"] for row in rows]


def not_enqueued(conn: Conn, webhook_ids: Sequence[str]) -> None:
    """Make webhooks due again whose messages could not be enqueued, or found no room."""
    conn.execute("UPDATE webhooks SET due_at = clock_timestamp() WHERE webhook_id = ANY(%s)", [list(webhook_ids)])


def claim(conn: Conn, webhook_id: str, now: datetime) -> Delivery | None:
    """Claim the next attempt; None where there is nothing to send, or another worker is at it."""
    values = {"id": webhook_id, "now": now, "lease": now + timedelta(seconds=LEASE_S)}
    row = conn.execute(_CLAIM, values).fetchone()
    if row is None:
        return None
    return Delivery(
        row["webhook_id"],
        row["url"],
        Wanted(frozenset(row["types"]), frozenset(row["product_ids"]), row["category"]),
        _secrets(row, now),
        row["position"],
        row["batch_until"],
        row["attempt"],
        row["failures"],
        row["failing_since"],
    )


def delivered(conn: Conn, delivery: Delivery, position: int, now: datetime, *, is_sent: bool = True) -> bool:
    """Store that everything up to `position` was delivered; False where this attempt does not count any more."""
    sent_at = now if is_sent else None
    return conn.execute(_DELIVERED, [position, sent_at, delivery.webhook_id, delivery.attempt]).rowcount == 1


def failed(conn: Conn, delivery: Delivery, until: int, reason: str, now: datetime, *, is_final: bool = False) -> Status:
    """Store a failure: the same batch is due again later. After three days the webhook is suspended.

    Args:
        conn: In a transaction.
        delivery: The attempt.
        until: The end of its batch.
        reason: Why it failed.
        now: The time.
        is_final: Suspend the webhook at once.
    """
    since = delivery.failing_since or now
    wait_s = min(FIRST_WAIT_S * 2 ** min(delivery.failures, 20), LONGEST_WAIT_S)
    status: Status = "suspended" if is_final or now - since >= SUSPENDED_AFTER else "active"
    values: dict[str, Any] = {"id": delivery.webhook_id, "attempt": delivery.attempt, "until": until, "since": since}
    values |= {"due_at": now + timedelta(seconds=wait_s), "reason": reason[:ERROR_CHARACTERS], "status": status}
    conn.execute(_FAILED, values)
    return status


def _secrets(row: dict[str, Any], now: datetime) -> tuple[str, ...]:
    is_former_good = row["former_secret"] is not None and row["former_until"] > now
    return (row["secret"], row["former_secret"]) if is_former_good else (row["secret"],)


_PUT = """
INSERT INTO webhooks AS w (webhook_id, url, types, product_ids, category, secret, position, author)
VALUES (%(webhook_id)s, %(url)s, %(types)s, %(product_ids)s, %(category)s, %(secret)s,
    (SELECT last_id FROM change_log), %(author)s)
ON CONFLICT (webhook_id) DO UPDATE SET url = excluded.url, types = excluded.types, product_ids = excluded.product_ids,
    category = excluded.category, status = 'active', attempt = w.attempt + 1, failures = 0, failing_since = NULL,
    last_error = NULL, batch_until = NULL, due_at = clock_timestamp(), lease_until = '-infinity'
RETURNING xmax = 0 AS is_new
"""

_VIEW = """
SELECT webhook_id, url, types, product_ids, category, status, position,
    (SELECT count(*) FROM (SELECT FROM changes WHERE change_id > position LIMIT 10000) AS next) AS behind,
    failures, failing_since, last_error, due_at AS next_at, delivered_at, created_at, author
FROM webhooks
"""

_ROTATE = """
UPDATE webhooks SET former_secret = secret, former_until = %(until)s, secret = %(secret)s WHERE webhook_id = %(id)s
"""

_RESUME = """
UPDATE webhooks SET status = 'active', position = coalesce(%(position)s, position), attempt = attempt + 1,
    failures = 0, failing_since = NULL, last_error = NULL, batch_until = NULL, due_at = clock_timestamp(),
    lease_until = '-infinity'
WHERE webhook_id = %(id)s
"""

_TAKE = """
UPDATE webhooks SET due_at = clock_timestamp() + make_interval(secs => %(redeliver_s)s) WHERE webhook_id IN (
    SELECT webhook_id FROM webhooks WHERE status = 'active' AND due_at <= clock_timestamp()
        AND position < (SELECT last_id FROM change_log)
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING webhook_id
"""

_CLAIM = """
UPDATE webhooks SET lease_until = %(lease)s, attempt = attempt + 1
WHERE webhook_id = %(id)s AND status = 'active' AND lease_until <= %(now)s
    AND position < (SELECT last_id FROM change_log)
RETURNING webhook_id, url, types, product_ids, category, secret, former_secret, former_until, position, batch_until,
    attempt, failures, failing_since
"""

_DELIVERED = """
UPDATE webhooks SET position = %s, batch_until = NULL, failures = 0, failing_since = NULL, last_error = NULL,
    delivered_at = coalesce(%s, delivered_at), due_at = clock_timestamp(), lease_until = '-infinity'
WHERE webhook_id = %s AND attempt = %s
"""

_FAILED = """
UPDATE webhooks SET batch_until = %(until)s, failures = failures + 1, failing_since = %(since)s,
    last_error = %(reason)s, due_at = %(due_at)s, lease_until = '-infinity', status = %(status)s
WHERE webhook_id = %(id)s AND attempt = %(attempt)s
"""
