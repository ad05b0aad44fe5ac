"""Deliveries: one message sends the next batch of the log to one webhook."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from shared.changes import entries, log, webhooks
from shared.changes.entries import Entry, Event
from shared.changes.log import Part
from shared.changes.sending import CallFailed, Message
from shared.changes.webhooks import Delivery
from shared.errors import ChangesGone
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.telemetry.metrics import WEBHOOK_CALLS, WEBHOOK_LAG
from workers.services import Services

logger = structlog.get_logger(__name__)

BATCH = Part(0, limit=100, most_bytes=1_000_000)
# What the endpoint does not want is passed over in one message, for so many batches.
MOST_BATCHES = 50


def deliver(services: Services, webhook_id: str, now: Callable[[Conn], datetime] = clock.now) -> None:
    """Send the next batch of up to 100 entries that the webhook wants.

    A process makes two calls at a time, so that endpoints that hang keep few threads; the others are tried again soon.
    """
    if not services.webhook_slots.acquire(blocking=False):
        with services.pool.connection() as conn:
            webhooks.not_enqueued(conn, [webhook_id])
        return
    try:
        is_over = _deliver(services, webhook_id, now)
    finally:
        services.webhook_slots.release()
    if not is_over:
        services.enqueue.webhook(webhook_id)


def _deliver(services: Services, webhook_id: str, now: Callable[[Conn], datetime]) -> bool:
    """Returns whether nothing is to be sent at once."""
    with services.pool.connection() as conn:
        delivery = webhooks.claim(conn, webhook_id, now(conn))
    if delivery is None:
        return True
    try:
        with services.pool.connection() as conn:
            log.check(conn, delivery.position)
            last, events = _batch(conn, delivery)
    except ChangesGone as error:
        _fail(services, delivery, delivery.position, CallFailed(str(error), is_final=True), now)
        return True
    if events:
        try:
            message = message_of(webhook_id, events)
            with services.pool.connection() as conn:
                at = now(conn)
            services.webhook_sender.send(delivery.url, message, delivery.secrets, at)
        except CallFailed as error:
            _fail(services, delivery, last, error, now)
            return True
        WEBHOOK_CALLS.labels("delivered").inc()
    with services.pool.connection() as conn:
        at = now(conn)
        is_ours = webhooks.delivered(conn, delivery, last, at, is_sent=bool(events))
        is_over = log.position(conn).last <= last
    if events:
        WEBHOOK_LAG.observe(max(0.0, (at - events[-1].at).total_seconds()))
    return is_over or not is_ours


def _batch(conn: Conn, delivery: Delivery) -> tuple[int, list[Event]]:
    """The end of the batch, and what the webhook wants of it: the next one with something, or the one that failed."""
    last = delivery.position
    for _ in range(MOST_BATCHES):
        found: list[Entry] = log.read(conn, BATCH._replace(after=last, until=delivery.until))
        if not found:
            break
        last = found[-1].change_id
        if events := [event for entry in found if (event := entries.event(entry, delivery.wanted))]:
            return last, events
    return last, []


def message_of(webhook_id: str, events: list[Event]) -> Message:
    """The message of a batch: the same batch has the same id and body."""
    first, last = events[0].change_id, events[-1].change_id
    body = {"type": "changes", "timestamp": events[-1].at, "data": events}
    return Message(f"{webhook_id}-{first}-{last}", msgspec.json.encode(body).decode())


def _fail(
    services: Services, delivery: Delivery, until: int, error: CallFailed, now: Callable[[Conn], datetime]
) -> None:
    with services.pool.connection() as conn:
        status = webhooks.failed(conn, delivery, until, str(error), now(conn), is_final=error.is_final)
    WEBHOOK_CALLS.labels("failed").inc()
    told = logger.error if status == "suspended" else logger.warning
    told(
        "webhook failed", webhook_id=delivery.webhook_id, reason=str(error), failures=delivery.failures + 1, now=status
    )
