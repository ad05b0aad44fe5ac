"""Applying market events: an event decides what it touches, not everything."""

from uuid import NAMESPACE_URL, uuid5

import structlog
from opentelemetry import trace

from shared.catalogue import events, markets, policies, prices, products, signals, tasks
from shared.catalogue.database import Conn
from shared.catalogue.events import SettledEvent, WaitingEvent
from shared.catalogue.prices import Cause, StoredSheet
from shared.catalogue.scope import Scope
from shared.errors import InvalidInput
from shared.market_events import MarketChanged, RecalculationRequested, parse_data
from shared.messaging import propagation
from shared.metrics import DECISIONS, EVENT_LAG, EVENTS_SETTLED, PRICES_CHANGED
from workers.services import Services

log = structlog.get_logger(__name__)


def apply_product_events(services: Services, product_id: str) -> None:
    """Apply all waiting events of a product and decide its price once.

    The events are settled only when the new sheet is in Redis. Doing it again changes nothing, and puts
    the sheet again.
    """
    with services.pool.connection() as conn:
        exists = products.lock(conn, product_id)
        waiting = events.lock_waiting(conn, product_id=product_id)
        _link(waiting)
        if not exists:
            _reject(conn, waiting, f"unknown product {product_id!r}")
        sheets = _decide(conn, product_id, waiting) if exists else []
    services.writer.put(sheets)
    with services.pool.connection() as conn:
        settled = events.settle(conn, waiting)
    _note(settled, product_id=product_id)


def apply_market_events(services: Services, code: str) -> None:
    """Apply all waiting events of a market; every process reads the markets again within a second."""
    with services.pool.connection() as conn:
        waiting = events.lock_waiting(conn, market=code)
        _link(waiting)
        for event in reversed(waiting):
            data = parse_data(event.type, event.data)
            assert isinstance(data, MarketChanged)  # noqa: S101 # only these have a market
            version = markets.change(conn, code, data.multiplier, event.time, event.id)
            events.decide(conn, event, "applied" if version else "superseded", version=version)
        settled = events.settle(conn, waiting)
    _note(settled, market=code)


def request_recalculation(services: Services, source: str, event_id: str) -> None:
    """Make a task of a `recalculation_requested` event; of the same event always the same task."""
    task_id = uuid5(NAMESPACE_URL, f"{source} {event_id}")
    with services.pool.connection() as conn:
        waiting = events.lock_waiting(conn, key=(source, event_id))
        for event in waiting:
            data = parse_data(event.type, event.data)
            assert isinstance(data, RecalculationRequested)  # noqa: S101 # only these are rung for so
            tasks.create(conn, "recalculation", Scope.of(data), propagation.current()["traceparent"], task_id)
            tasks.claim_one(conn, task_id)
            events.decide(conn, event, "applied", task_id=task_id)
        settled = events.settle(conn, waiting)
    _note(settled, task_id=str(task_id))
    if settled:
        services.doorbell.task("recalculation", task_id)


def _decide(conn: Conn, product_id: str, waiting: list[WaitingEvent]) -> list[StoredSheet]:
    """Apply the events that are not decided yet, and decide the price if one of them counts."""
    fresh = [event for event in waiting if event.outcome is None]
    # The latest first: an earlier one of the same register then finds itself superseded.
    outcomes = [(event, *_apply(conn, event)) for event in reversed(fresh)]
    applied = [event for event, outcome, _ in outcomes if outcome == "applied"]
    if not applied:
        sheets = prices.stored_sheets(conn, [product_id])
    else:
        repriced = prices.reprice(conn, [product_id], policies.active(conn), Cause("event", applied[0].id))
        DECISIONS.labels("event").inc()
        PRICES_CHANGED.labels("event").inc(len(repriced.changed))
        sheets = list(repriced.sheets.values())
    for event, outcome, reason in outcomes:
        events.decide(conn, event, outcome, reason=reason, version=sheets[0].version)
    return sheets


def _apply(conn: Conn, event: WaitingEvent) -> tuple[str, str | None]:
    """Put one event into its register: what became of it, and why it was rejected."""
    try:
        won = signals.apply(conn, parse_data(event.type, event.data), event.source, event.time, event.id)
    except InvalidInput as error:
        return "rejected", str(error)
    return "applied" if won else "superseded", None


def _reject(conn: Conn, waiting: list[WaitingEvent], reason: str) -> None:
    for event in waiting:
        events.decide(conn, event, "rejected", reason=reason)


def _note(settled: list[SettledEvent], **fields: str) -> None:
    for event in settled:
        EVENTS_SETTLED.labels(event.status).inc()
        EVENT_LAG.observe(event.lag_s)
        log.info(
            "event settled",
            event_id=event.id,
            type=event.type,
            status=event.status,
            reason=event.reason,
            version=event.version,
            **fields,
        )


def _link(waiting: list[WaitingEvent]) -> None:
    """One decision stands for several events: its span has the trace of one, and links to the others."""
    span = trace.get_current_span()
    for event in waiting:
        link = propagation.link_to({"traceparent": event.traceparent, "tracestate": event.tracestate})
        if link and link.context.trace_id != span.get_span_context().trace_id:
            span.add_link(link.context)
