"""A new undo: its subject is looked up, checked against what is retained, and stored as a plan."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from shared.catalogue import former_entries, imports
from shared.catalogue.former_entries import Former
from shared.catalogue.product_set import ProductSet
from shared.errors import InvalidInput, NoHistory, NotFound, StillInUse
from shared.jobs import tasks
from shared.jobs import views as task_views
from shared.market_events import views as event_views
from shared.plans import contents, making, reverse, store
from shared.plans.changes import Change
from shared.plans.making import Made
from shared.plans.store import Author, Options
from shared.plans.undo import FormerList, Undo
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.prices import replaced_facts
from shared.rulebook import past_values

# Products of an import that changed more are found among all.
MOST_NAMED = 10_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks to undo: exactly one of these; `source` belongs to an event."""

    run: UUID | None = None
    event: str | None = None
    source: str | None = None
    plan: UUID | None = None
    import_: UUID | None = None
    since: datetime | None = None

    def __post_init__(self) -> None:
        given = [one for one in (self.run, self.event, self.plan, self.import_, self.since) if one is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of run, event, plan, import, since")
        if self.source is not None and self.event is None:
            raise ValueError("`source` belongs to an event")


class Subject(NamedTuple):
    """What is undone, the products that it may have changed, and the changes that take its rules back."""

    undo: Undo
    products: ProductSet
    changes: tuple[Change, ...] = ()


def make(conn: Conn, asked: Asked, author: Author, traceparent: str, history_days: int) -> Made:
    """Store the plan of an undo and its task, which the caller enqueues after the commit.

    Args:
        conn: In a transaction.
        asked: The subject of the undo.
        author: Who asks.
        traceparent: W3C context that the job continues.
        history_days: How long the price history goes back.

    Raises:
        InvalidInput: the subject cannot be undone.
        NoHistory: it lies before the retained history.
        NotFound: there is no such run, event, plan or import.
        StalePlan: a part of the rulebook that the plan wrote changed since.
        StillInUse: it has not ended, or the plan is not applied.
    """
    subject = _subject(conn, asked)
    now = clock.now(conn)
    if subject.undo.since > now:
        raise InvalidInput("must be in the past", "$.since")
    if subject.undo.since < now - timedelta(days=history_days):
        raise NoHistory(f"the price history goes back {history_days} days", f"$.{subject.undo.kind}")
    options = Options(product_set=subject.products, undo=subject.undo)
    return making.add(conn, subject.changes, author, traceparent, options)


def _subject(conn: Conn, asked: Asked) -> Subject:
    if asked.since is not None:
        return _since(conn, asked.since)
    if asked.event is not None:
        return _event(conn, asked.event, asked.source)
    if asked.plan is not None:
        return _plan(conn, asked.plan)
    if asked.import_ is not None:
        return _import(conn, str(asked.import_))
    assert asked.run is not None  # noqa: S101 # exactly one is given
    return _run(conn, asked.run)


def _since(conn: Conn, at: datetime) -> Subject:
    found = [
        past_values.before(conn, market, lambda past: past.is_automated and past.since >= at)
        for market in past_values.automated_since(conn, at)
    ]
    changes = tuple(contents.value_change(*one[:3]) for one in found if one is not None)
    return Subject(Undo(kind="since", since=at), ProductSet(), changes)


def _run(conn: Conn, task_id: UUID) -> Subject:
    task = task_views.view(conn, task_id)
    if task.kind != "recalculation":
        raise InvalidInput(f"is a task of kind {task.kind}, not a recalculation", "$.run")
    if task.status == "skipped":
        raise InvalidInput(f"another run includes it: {task.result and task.result.merged_into}", "$.run")
    if task.status not in tasks.ENDED:
        raise StillInUse(f"the run is {task.status}; wait for its end, or abort it")
    since = task.started_at or task.created_at
    return Subject(Undo(kind="run", id=str(task_id), since=since, until=task.finished_at), task.product_set)


def _event(conn: Conn, event_id: str, source: str | None) -> Subject:
    event = event_views.view(conn, event_id, source)
    if event.task_id is not None:
        return _run(conn, event.task_id)
    if event.status == "received":
        raise StillInUse("the event waits; it is not applied yet")
    product_id, market = event.data.get("product_id", ""), event.data.get("market")
    if event.status != "applied":
        raise InvalidInput(f"the event is {event.status}: it changed no price", "$.event")
    undo = Undo(
        kind="event",
        id=event_id,
        source=event.source,
        product_id=product_id,
        since=event.received_at,
        version=event.version,
    )
    if market is None:
        return Subject(undo, ProductSet((product_id,)))
    found = past_values.before(conn, market, lambda past: past.is_automated and past.cause_id == event_id)
    return Subject(undo, ProductSet(), () if found is None else (contents.value_change(*found[:3]),))


def _import(conn: Conn, import_id: str) -> Subject:
    if (former := former_entries.of_import(conn, import_id)) is not None:
        return _entries(conn, import_id, former)
    try:
        made = imports.find(conn, import_id)
    except NotFound as error:
        raise NotFound(f"{error}; of imports of prices the last one of each list is kept, for a week") from None
    undo = Undo(kind="import", id=import_id, since=made.began_at, until=made.ended_at)
    found = replaced_facts.products_of_cause(conn, import_id, made.began_at, MOST_NAMED + 1)
    is_few = not made.created and 0 < len(found) <= MOST_NAMED
    return Subject(undo, ProductSet(tuple(sorted(found))) if is_few else ProductSet())


def _entries(conn: Conn, import_id: str, former: Former) -> Subject:
    """An import of prices of a list: the entries that it replaced come back."""
    lists = (FormerList(former.list_id, former.revision, former.replaced_by),)
    undo = Undo(kind="import", id=import_id, since=former.began_at, until=former.ended_at, lists=lists)
    found = former_entries.product_ids(conn, former, MOST_NAMED + 1)
    return Subject(undo, ProductSet(tuple(sorted(found))) if 0 < len(found) <= MOST_NAMED else ProductSet())


def _plan(conn: Conn, plan_id: UUID) -> Subject:
    plan = store.locked(conn, plan_id)
    if plan.apply_task_id is not None and tasks.status(conn, plan.apply_task_id) not in (None, *tasks.ENDED):
        raise StillInUse("the plan is being applied; wait for its end")
    changes = reverse.of(conn, plan)
    lists = reverse.lists_of(conn, plan, changes)
    undo = Undo(kind="plan", id=str(plan_id), since=plan.created_at, until=plan.applied_at, lists=lists)
    return Subject(undo, ProductSet() if lists else plan.options.product_set, changes)
