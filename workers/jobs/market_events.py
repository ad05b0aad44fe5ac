"""Applying market events: an event decides what it touches, not everything."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import NAMESPACE_URL, uuid5

import structlog
from opentelemetry import trace

from shared.catalogue import markets, products
from shared.catalogue.product_set import ProductSet
from shared.errors import InvalidInput
from shared.jobs import tasks
from shared.market_events import inbox, repricing_queue, signals
from shared.market_events.events import MarketChanged, RecalculationRequested, parse_data
from shared.market_events.inbox import CompletedEvent, WaitingEvent
from shared.postgres.pools import Conn
from shared.prices import published
from shared.prices.published import Cause, StoredSheet
from shared.rulebook import store as rulebook
from shared.telemetry import propagation
from shared.telemetry.metrics import DECISIONS, EVENT_LAG, EVENTS_COMPLETED, PRICES_CHANGED
from workers.services import Services

log = structlog.get_logger(__name__)

MOST_LINKS = 100
# What becomes of an event, and why it was rejected.
Verdict = tuple[str, str | None]


def apply_product_events(services: Services, product_id: str) -> None:
    """Apply all waiting events of a product and decide its price once, unless that was done this second.

    The events are settled only when the new sheet is in Redis. Doing it again changes nothing, and puts
    the sheet again.
    """
    with services.pool.connection() as conn:
        begun = _begin(conn, product_id, product_id=product_id)
    if not begun:
        return
    with _released(services, product_id, begun):
        with services.pool.connection() as conn:
            exists = products.lock(conn, product_id)
            waiting = inbox.lock(conn, begun)
            if not exists:
                inbox.decide_all(conn, waiting, "rejected", reason=f"unknown product {product_id!r}")
            sheets = _decide(conn, product_id, waiting) if exists else []
        services.writer.put(sheets)
        with services.pool.connection() as conn:
            settled = inbox.settle(conn, waiting)
            repricing_queue.end(conn, product_id)
    _note(settled, product_id=product_id)


def apply_market_events(services: Services, code: str) -> None:
    """Apply all waiting events of a market; every process reads the markets again within a second."""
    target = repricing_queue.market_target(code)
    with services.pool.connection() as conn:
        begun = _begin(conn, target, market=code)
    if not begun:
        return
    with _released(services, target, begun), services.pool.connection() as conn:
        waiting = inbox.lock(conn, begun)
        if waiting:
            _change_market(conn, code, waiting)
        settled = inbox.settle(conn, waiting)
        repricing_queue.end(conn, target)
    _note(settled, market=code)


def request_recalculation(services: Services, source: str, event_id: str) -> None:
    """Make a task of a `recalculation_requested` event; of the same event always the same task."""
    task_id = uuid5(NAMESPACE_URL, f"{source} {event_id}")
    with services.pool.connection() as conn:
        begun = inbox.begin(conn, key=(source, event_id))
    with _released(services, None, begun), services.pool.connection() as conn:
        waiting = inbox.lock(conn, begun)
        for event in waiting:
            data = parse_data(event.type, event.data)
            assert isinstance(data, RecalculationRequested)  # noqa: S101 # only these are rung for so
            tasks.create(conn, "recalculation", ProductSet.of(data), propagation.current()["traceparent"], task_id)
            tasks.claim_one(conn, task_id)
            inbox.decide(conn, event, "applied", task_id=task_id)
        settled = inbox.settle(conn, waiting)
    _note(settled, task_id=str(task_id))
    if settled:
        services.enqueue.task("recalculation", task_id)


def _begin(conn: Conn, target: str, **which: str) -> list[WaitingEvent]:
    """The events to apply now; none where it is too early for the target, or another worker is at it."""
    if not repricing_queue.begin(conn, target):
        return []
    begun = inbox.begin(conn, **which)  # type: ignore[arg-type] # mypy takes `which` for every parameter
    if begun:
        repricing_queue.decided(conn, target)
        _link(begun)
    else:
        repricing_queue.end(conn, target)
    return begun


@contextmanager
def _released(services: Services, target: str | None, begun: Sequence[WaitingEvent]) -> Iterator[None]:
    """An attempt that ends by an error is no kill, and makes room for the next one."""
    try:
        yield
    except BaseException:
        with services.pool.connection() as conn:
            inbox.release_attempt(conn, begun)
            if target is not None:
                repricing_queue.end(conn, target)
        raise


def _decide(conn: Conn, product_id: str, waiting: Sequence[WaitingEvent]) -> list[StoredSheet]:
    """Apply the events that are not decided yet, and decide the price if one of them counts."""
    fresh = [event for event in waiting if event.outcome is None]
    verdicts = _apply(conn, fresh)
    applied = [event for event in fresh if verdicts[event.key][0] == "applied"]
    if not applied:
        sheets = published.stored_sheets(conn, [product_id])
    else:
        repriced = published.reprice(conn, [product_id], rulebook.active(conn), Cause("event", applied[-1].id))
        DECISIONS.labels("event").inc()
        PRICES_CHANGED.labels("event").inc(len(repriced.changed))
        sheets = list(repriced.sheets.values())
    for outcome, reason in set(verdicts.values()):
        alike = [event for event in fresh if verdicts[event.key] == (outcome, reason)]
        inbox.decide_all(conn, alike, outcome, reason=reason, version=sheets[0].version)
    return sheets


def _apply(conn: Conn, fresh: Sequence[WaitingEvent]) -> dict[tuple[str, str], Verdict]:
    """Put the latest event of each register into it; the earlier ones are superseded without a look."""
    verdicts: dict[tuple[str, str], Verdict] = {}
    taken: set[tuple[str, str]] = set()
    for event in reversed(fresh):
        try:
            data = parse_data(event.type, event.data)
            register = signals.register(data, event.source)
            won = register not in taken and signals.apply(conn, data, event.source, event.occurred_at, event.id)
        except InvalidInput as error:
            verdicts[event.key] = "rejected", str(error)
            continue
        taken.add(register)
        verdicts[event.key] = "applied" if won else "superseded", None
    return verdicts


def _change_market(conn: Conn, code: str, waiting: Sequence[WaitingEvent]) -> None:
    *earlier, latest = waiting
    data = parse_data(latest.type, latest.data)
    assert isinstance(data, MarketChanged)  # noqa: S101 # only these have a market
    version = markets.change(conn, code, data.multiplier, latest.occurred_at, latest.id)
    inbox.decide(conn, latest, "applied" if version else "superseded", version=version)
    inbox.decide_all(conn, earlier, "superseded")


def _note(settled: Sequence[CompletedEvent], **fields: str) -> None:
    for event in settled:
        EVENTS_COMPLETED.labels(event.status).inc()
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


def _link(begun: Sequence[WaitingEvent]) -> None:
    """One decision stands for several events: its span has the trace of one, and links to the others."""
    span = trace.get_current_span()
    for event in begun[:MOST_LINKS]:
        link = propagation.link_to({"traceparent": event.traceparent, "tracestate": event.tracestate})
        if link and link.context.trace_id != span.get_span_context().trace_id:
            span.add_link(link.context)
