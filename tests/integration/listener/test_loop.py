"""One listener works, the others stand by; whatever fails, nothing that was taken is dropped."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from listener.backlog import Backlog
from listener.epoch_watch import EpochWatch
from listener.inbox import Inbox
from listener.loop import LEASE, STANDBY_KEEPS_S, Loop
from listener.sweep import Sweep
from shared.access import idempotency
from shared.catalogue import listed_products, price_lists
from shared.market_events.records import EventRecord
from shared.postgres import leases
from shared.postgres.pools import Pool
from shared.pricing.entries import EntryInput
from tests.integration.catalogue_examples import new_id
from tests.integration.listener.conftest import Message, Queues, demand
from tests.support.waiting import eventually


class RefusingInbox(Inbox):
    """Raises what a test wants raised."""

    def __init__(self, pool: Pool, refuse: Callable[[Sequence[bytes]], None]) -> None:
        super().__init__(pool)
        self._refuse = refuse

    def record(self, raw_messages: Sequence[bytes]) -> list[EventRecord]:
        self._refuse(raw_messages)
        return super().record(raw_messages)


class NoWatch(EpochWatch):
    """Needs no Redis."""

    def __init__(self) -> None:
        """Nothing to hold."""

    def beat(self) -> None:
        """Do nothing."""


class Listener:
    """A loop in a thread of its own."""

    def __init__(self, pool: Pool, inbox: Inbox | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.queues, self.holder = Queues(), uuid4().hex
        self.backlog = Backlog(monotonic=monotonic)
        sweep = Sweep(pool, self.queues)
        self.loop = Loop(pool, self.holder, self.backlog, inbox or Inbox(pool), sweep, NoWatch())

    @contextmanager
    def running(self) -> Iterator["Listener"]:
        stop = threading.Event()
        thread = threading.Thread(target=self.loop.run, args=(stop,))
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(timeout=60)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def _no_holder(pool: Pool) -> None:
    with pool.connection() as conn:
        conn.execute("DELETE FROM leases")


def holder(pool: Pool) -> str | None:
    with pool.connection() as conn:
        row = conn.execute("SELECT holder FROM leases WHERE name = %s", [LEASE]).fetchone()
    return str(row["holder"]) if row else None


def recorded(pool: Pool, product_id: str) -> int:
    with pool.connection() as conn:
        row = conn.execute("SELECT count(*) AS n FROM market_events WHERE product_id = %s", [product_id]).fetchone()
    assert row
    return int(row["n"])


def test_the_one_with_the_lease_records_and_enqueues(pool: Pool, message: Message) -> None:
    product_id = new_id()
    with Listener(pool).running() as listener:
        listener.backlog.add([message(data=demand(product_id))])
        eventually(lambda: listener.queues.times(product_id) == 1, "the product is enqueued")
    assert recorded(pool, product_id) == 1
    # The lease is given up: the next holder does not wait for its end.
    assert holder(pool) is None


def test_a_standby_keeps_the_last_of_the_channel_and_records_it_when_it_gets_the_lease(
    pool: Pool, message: Message
) -> None:
    old, recent, now = new_id(), new_id(), [0.0]
    with pool.connection() as conn:
        assert leases.take(conn, LEASE, "another", 3600)
    with Listener(pool, monotonic=lambda: now[0]).running() as standby:
        standby.backlog.add([message(data=demand(old))])
        now[0] = STANDBY_KEEPS_S + 1
        standby.backlog.add([message(data=demand(recent))])
        eventually(lambda: len(standby.backlog) == 1, "the older message is dropped")
        assert recorded(pool, recent) == 0
        with pool.connection() as conn:
            leases.give_up(conn, LEASE, "another")
        eventually(lambda: recorded(pool, recent) == 1, "the standby records what it kept")
    assert recorded(pool, old) == 0


def test_one_that_loses_the_lease_records_what_it_took(pool: Pool, message: Message) -> None:
    product_id, is_away = new_id(), [True]

    def refuse(_: Sequence[bytes]) -> None:
        if is_away[0]:
            raise psycopg.OperationalError("away")

    with Listener(pool, RefusingInbox(pool, refuse)).running() as listener:
        eventually(lambda: holder(pool) == listener.holder, "the listener has the lease")
        listener.backlog.add([message(data=demand(product_id))])
        with pool.connection() as conn:
            conn.execute("UPDATE leases SET holder = 'another', lease_until = clock_timestamp() + interval '1 hour'")
        is_away[0] = False
        eventually(lambda: recorded(pool, product_id) == 1, "it is recorded all the same")
        eventually(lambda: len(listener.backlog) == 0, "the backlog is empty")


def test_while_postgres_is_away_messages_wait_and_are_recorded_afterwards(pool: Pool, message: Message) -> None:
    product_id, failures = new_id(), [3]

    def refuse(_: Sequence[bytes]) -> None:
        if failures[0]:
            failures[0] -= 1
            raise psycopg.OperationalError("away")

    with Listener(pool, RefusingInbox(pool, refuse)).running() as listener:
        listener.backlog.add([message(data=demand(product_id))])
        eventually(lambda: listener.queues.times(product_id) == 1, "the product is enqueued")
    assert failures == [0]


def test_a_message_that_cannot_be_recorded_takes_no_others_with_it(pool: Pool, message: Message) -> None:
    good, bad = [new_id() for _ in range(3)], new_id()

    def refuse(raw_messages: Sequence[bytes]) -> None:
        if any(bad.encode() in raw for raw in raw_messages):
            raise ValueError("no way")

    with Listener(pool, RefusingInbox(pool, refuse)).running() as listener:
        listener.backlog.add([message(data=demand(product_id)) for product_id in (good[0], bad, *good[1:])])
        eventually(lambda: all(listener.queues.times(each) for each in good), "the others are enqueued")
        eventually(lambda: len(listener.backlog) == 0, "the backlog is empty")
    assert recorded(pool, bad) == 0


def test_while_the_queue_is_away_events_are_recorded_and_enqueued_later(pool: Pool, message: Message) -> None:
    product_id, listener = new_id(), Listener(pool)
    listener.queues.failures = 2
    with listener.running():
        listener.backlog.add([message(data=demand(product_id))])
        eventually(lambda: listener.queues.times(product_id) == 1, "the sweep enqueues the product")
    assert recorded(pool, product_id) == 1


def test_the_backlog_is_recorded_at_the_end(pool: Pool, message: Message) -> None:
    ids = [new_id() for _ in range(3)]
    with Listener(pool).running() as listener:
        eventually(lambda: holder(pool) == listener.holder, "the listener has the lease")
        listener.backlog.add([message(data=demand(product_id)) for product_id in ids])
    assert [recorded(pool, product_id) for product_id in ids] == [1, 1, 1]


def test_the_active_listener_maintains_the_partitions(pool: Pool) -> None:
    maintained: list[str] = []
    listener = Listener(pool)
    listener.loop._maintain = lambda: maintained.append(holder(pool) or "")
    with listener.running():
        eventually(lambda: maintained, "the partitions are maintained")
    assert maintained == [listener.holder]


def test_the_active_listener_purges_expired_idempotency_keys(pool: Pool) -> None:
    caller = uuid4().hex
    write = idempotency.Write(caller, "/", "key", b"digest")
    with pool.connection() as conn:
        idempotency.claim(conn, write)
        conn.execute("UPDATE idempotency_keys SET expires_at = clock_timestamp() WHERE caller = %s", [caller])

    def left() -> int:
        with pool.connection() as conn:
            return conn.execute("SELECT 1 FROM idempotency_keys WHERE caller = %s", [caller]).rowcount

    with Listener(pool).running():
        eventually(lambda: left() == 0, "the expired key is purged")


def test_the_active_listener_deletes_the_entries_of_a_deleted_list(pool: Pool) -> None:
    entry = EntryInput(product_id=new_id(), amount=Decimal(80))
    with pool.connection() as conn:
        price_lists.add(conn, entry.product_id, 0, [price_lists.row_of(entry, entry.product_id, 0, 0)])
        price_lists.note_in_force(conn, entry.product_id, price_lists.next_revision(conn, entry.product_id, 0))

    def left() -> int:
        with pool.connection() as conn:
            return listed_products.pairs_of(conn, entry.product_id, [0])

    assert left() == 1
    with Listener(pool).running():
        eventually(lambda: left() == 0, "the entries are deleted")
