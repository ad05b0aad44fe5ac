"""The application of market events: an event reprices the one product that it concerns, or changes one market."""

import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import structlog
from dramatiq.middleware import Interrupt

from shared.catalogue import products
from shared.catalogue.failures import ProductFailure
from shared.errors import InvalidInput, LeaseLost
from shared.market_events import inbox, signals
from shared.market_events.events import CostChanged, MarketChanged, stored_data
from shared.market_events.records import CompletedEvent, Key, Outcome, WaitingEvent
from shared.market_events.signals import Register, SignalUpdate
from shared.messaging.channel import announce_rulebook
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.prices import inputs, published, repricing_queue
from shared.prices.new_versions import Cause, StoredSheet
from shared.prices.repricing_queue import Lease
from shared.pricing.policy import Policy
from shared.pricing.readers import is_read
from shared.rulebook import store as rulebook
from shared.rulebook import values
from shared.telemetry import propagation
from shared.telemetry.metrics import DECISIONS, EVENT_LAG, EVENTS_COMPLETED, PRICES_CHANGED
from workers.jobs import event_spans
from workers.services import Services

log = structlog.get_logger(__name__)

# An event that comes before its product waits this long.
EARLY = timedelta(hours=1)
Waiting = Mapping[str, Sequence[WaitingEvent]]
Latest = dict[Register, tuple[SignalUpdate, WaitingEvent]]


class Decided(msgspec.Struct, frozen=True):
    """The decisions for the products of a message: the sheets to put, and the outcome of each event.

    Attributes:
        failed: The products that could not be decided because of their own data.
    """

    sheets: Sequence[StoredSheet]
    outcomes: Mapping[Key, Outcome]
    failed: Sequence[ProductFailure] = ()


def reprice_products(services: Services, product_ids: Sequence[str]) -> None:
    """Apply all waiting events of products and decide each price once.

    A product that was decided less than a second ago is deferred. The events are completed only when the new sheets
    are in Redis. A second run changes nothing, and puts the sheets again. The events of a product that cannot be
    decided fail; nothing of them is applied.
    """
    leases, waiting = _begin(services, product_ids)
    if not leases:
        return
    started_ns = time.time_ns()
    with _released(services, leases):
        decided = _decided(services, leases, waiting)
        services.writer.put(decided.sheets)
        _complete(services, leases, waiting, decided.outcomes)
    event_spans.record(waiting, decided.outcomes, started_ns)


def change_market(services: Services, code: str) -> None:
    """Apply all waiting events of a market, and announce the new multiplier to every API process."""
    leases, waiting = _begin(services, [repricing_queue.market_target(code)])
    if not leases:
        return
    started_ns = time.time_ns()
    with _released(services, leases):
        with services.pool.connection() as conn:
            outcomes = _change_market(conn, code, waiting[leases[0].target])
            repricing_queue.hold(conn, leases)
        if versions := [outcome.version for outcome in outcomes.values() if outcome.version is not None]:
            announce_rulebook(services.events, values_version=max(versions))
        _complete(services, leases, waiting, outcomes)
    event_spans.record(waiting, outcomes, started_ns)


def _begin(services: Services, targets: Sequence[str]) -> tuple[list[Lease], Waiting]:
    with services.pool.connection() as conn:
        leases = repricing_queue.begin(conn, targets)
        return leases, inbox.waiting(conn, leases)


@contextmanager
def _released(services: Services, leases: Sequence[Lease]) -> Iterator[None]:
    """Release the leases on an error: such an attempt does not count as a crash, and the next one may start.

    Raises:
        LeaseLost: in place of any error of a worker that has lost a target. Such a worker fails no event.
    """
    try:
        yield
    except BaseException as error:
        with services.pool.connection() as conn:
            is_held = repricing_queue.release(conn, leases)
        if not is_held and isinstance(error, Exception | Interrupt):
            raise LeaseLost("this worker has lost a target") from error
        raise


def _decided(services: Services, leases: Sequence[Lease], waiting: Waiting) -> Decided:
    """The committed decisions; where products fail, the others are decided without them."""
    is_first = all(map(repricing_queue.is_first, leases))
    failed: dict[str, str] = {}
    while True:
        with services.pool.connection() as conn:
            fine = {target: events for target, events in waiting.items() if target not in failed}
            decided = _decide(conn, fine, is_first=is_first)
            if not decided.failed:
                repricing_queue.hold(conn, leases)
                break
            conn.rollback()
            failed |= {failure.product_id: failure.reason for failure in decided.failed}
    outcomes = dict(decided.outcomes)
    for target, reason in failed.items():
        outcomes |= {event.key: Outcome("failed", reason) for event in waiting[target]}
    return Decided(decided.sheets, outcomes)


def _decide(conn: Conn, waiting: Waiting, *, is_first: bool) -> Decided:
    """Apply events, and decide the price of each product that has a new event it reads, or is due by the clock."""
    events = {event.key: event for of_product in waiting.values() for event in of_product}
    currencies = products.lock(conn, sorted(waiting))
    latest, outcomes = _latest(waiting, currencies, _early(conn, waiting, currencies))
    fresh = _apply(conn, latest, outcomes, is_first)
    policy = rulebook.active_policy(conn)
    fresh = _read(conn, policy.policy, latest, fresh)
    causes = {product_id: _cause(waiting[product_id], fresh) for product_id in currencies}
    repriced = published.reprice_each(conn, causes, policy)
    if repriced.failed:
        return Decided((), {}, repriced.failed)
    DECISIONS.labels("event").inc(sum(cause is not None for cause in causes.values()))
    DECISIONS.labels("clock").inc(repriced.by_clock)
    PRICES_CHANGED.labels("event").inc(len(repriced.changed))
    for key, outcome in outcomes.items():
        if sheet := repriced.sheets.get(events[key].target):
            outcomes[key] = msgspec.structs.replace(outcome, version=sheet.version)
    # An earlier attempt may have written a price without putting its sheet.
    put = repriced.changed if is_first else repriced.sheets
    return Decided([repriced.sheets[product_id] for product_id in put], outcomes)


def _early(conn: Conn, waiting: Waiting, currencies: Mapping[str, str]) -> set[Key]:
    """The events whose product does not exist yet: they wait for an hour."""
    missing = [event for product_id, events in waiting.items() if product_id not in currencies for event in events]
    if not missing:
        return set()
    now = clock.now(conn)
    return {event.key for event in missing if event.recorded_at > now - EARLY}


def _latest(waiting: Waiting, currencies: Mapping[str, str], early: Set[Key]) -> tuple[Latest, dict[Key, Outcome]]:
    """The latest event of each register, and the outcomes of the others: superseded unread, or rejected.

    An event that is early has no outcome.
    """
    latest: Latest = {}
    outcomes: dict[Key, Outcome] = {}
    for product_id, events in waiting.items():
        for event in reversed(events):
            if event.key in early:
                continue
            try:
                update = _update(event, currencies.get(product_id))
            except InvalidInput as error:
                outcomes[event.key] = Outcome("rejected", str(error))
                continue
            if update.register in latest:
                outcomes[event.key] = Outcome("superseded")
            else:
                latest[update.register] = update, event
    return latest, outcomes


def _apply(conn: Conn, latest: Latest, outcomes: dict[Key, Outcome], is_first: bool) -> set[Key]:
    """Write events into their registers, and add their outcomes; returns the keys that no earlier attempt wrote."""
    updates = [update for update, _ in latest.values()]
    held = set() if is_first else signals.held(conn, updates)
    won = signals.apply(conn, [update for update in updates if update.register not in held])
    for register, (_, event) in latest.items():
        outcomes[event.key] = Outcome("applied" if register in won | held else "superseded")
    return {event.key for register, (_, event) in latest.items() if register in won}


def _read(conn: Conn, policy: Policy, latest: Latest, fresh: Set[Key]) -> set[Key]:
    """The new events that a rule of their product reads; the others decide nothing."""
    found = inputs.products_before(conn, sorted({event.target for _, event in latest.values() if event.key in fresh}))
    unread = {
        event.key
        for (product_id, kind, source), (_, event) in latest.items()
        if product_id in found and not is_read(found[product_id], policy, kind, source)
    }
    return set(fresh) - unread


def _update(event: WaitingEvent, currency: str | None) -> SignalUpdate:
    """The signal that an event changes.

    Raises:
        InvalidInput: the product does not exist, or the cost is not in the product's currency.
    """
    if currency is None:
        raise InvalidInput(f"unknown product {event.target!r}")
    data = stored_data(event.type, event.data)
    if isinstance(data, CostChanged) and data.currency != currency:
        raise InvalidInput(f"the product is in {currency}", "$.data.currency")
    return SignalUpdate.of(data, event.source, event.occurred_at, event.id)


def _cause(events: Sequence[WaitingEvent], fresh: Set[Key]) -> Cause | None:
    """The latest new event as the cause of the price; None: it needs no decision, or an earlier attempt wrote it.

    A register and the price that follows from it are written in one transaction.
    """
    counting = [event for event in events if event.key in fresh]
    if not counting:
        return None
    return Cause("event", counting[-1].id, propagation.trace_id(counting[-1].traceparent))


def _change_market(conn: Conn, code: str, events: Sequence[WaitingEvent]) -> dict[Key, Outcome]:
    """Apply the latest event; the earlier ones are superseded unread."""
    outcomes: dict[Key, Outcome] = {}
    waiting = list(events)
    while waiting:
        event = waiting.pop()
        try:
            data = stored_data(event.type, event.data)
        except InvalidInput as error:
            outcomes[event.key] = Outcome("rejected", str(error))
            continue
        assert isinstance(data, MarketChanged)  # noqa: S101 # only this type has a market
        version = values.apply_event(conn, code, data.multiplier, event.occurred_at, event.id)
        outcomes[event.key] = Outcome("applied" if version else "superseded", version=version)
        break
    return outcomes | {event.key: Outcome("superseded") for event in waiting}


def _complete(services: Services, leases: Sequence[Lease], waiting: Waiting, outcomes: Mapping[Key, Outcome]) -> None:
    ended = [(event, outcomes[event.key]) for events in waiting.values() for event in events if event.key in outcomes]
    early = [event for events in waiting.values() for event in events if event.key not in outcomes]
    with services.pool.connection() as conn:
        completed = inbox.complete(conn, leases, ended)
        repricing_queue.schedule(conn, {event.target: event.recorded_at + EARLY for event in reversed(early)})
    traces = {event.id: propagation.trace_id(event.traceparent) for event, _ in ended}
    for event in completed:
        _note(event, traces[event.id])


def _note(event: CompletedEvent, trace_id: str) -> None:
    EVENTS_COMPLETED.labels(event.status).inc()
    EVENT_LAG.observe(event.lag_s)
    log.info(
        "event completed",
        target=event.target,
        event_id=event.id,
        type=event.type,
        status=event.status,
        reason=event.reason,
        version=event.version,
        trace_id=trace_id,
    )
