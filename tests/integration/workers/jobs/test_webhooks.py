"""Deliveries: in order, the failed batch again as it was, suspended after three days, and nothing twice by halves."""

import ipaddress
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from standardwebhooks import WebhookVerificationError

from shared.changes import log, webhooks
from shared.changes.sending import WebhookSender
from shared.changes.webhook_metrics import Webhooks
from shared.changes.webhooks import Endpoint
from shared.errors import ChangesGone
from shared.messaging.messages import DELIVER_WEBHOOK
from tests.integration.workers.conftest import Queues
from tests.integration.workers.webhook_examples import Hook
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Receiver
from workers.jobs import webhooks as job
from workers.services import WEBHOOK_SLOTS, Services


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def sending(services: Services) -> Services:
    """Services that may call this machine."""
    sender = WebhookSender([ipaddress.ip_network("127.0.0.0/8")], lambda host, port: ["127.0.0.1"])
    slots = threading.BoundedSemaphore(WEBHOOK_SLOTS)
    return msgspec.structs.replace(services, webhook_sender=sender, webhook_slots=slots)


@pytest.fixture
def hook(sending: Services, receiver: Receiver) -> Hook:
    return Hook(sending, receiver)


def test_changes_arrive_in_batches_of_a_hundred_in_order_and_signed(
    hook: Hook, receiver: Receiver, queues: Queues
) -> None:
    ids = hook.append(250)
    for _ in range(3):
        hook.deliver()
    assert [call.ids for call in receiver.calls] == [ids[:100], ids[100:200], ids[200:]]
    for call in receiver.calls:
        content = call.verified(hook.secret)
        assert content["type"] == "changes"
        assert content["data"][0]["changes"][0]["product_id"] == "P-1"
    assert queues.sent == [(DELIVER_WEBHOOK, hook.id)] * 2
    assert (hook.view().position, hook.view().behind) == (ids[-1], 0)


def test_the_bytes_of_a_batch_are_bounded(hook: Hook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "BATCH", job.BATCH._replace(most_bytes=100))
    ids = hook.append(5)
    hook.deliver()
    assert 0 < len(receiver.calls[0].ids) < len(ids)


def test_a_failed_batch_is_sent_again_as_it_was_though_more_has_come(hook: Hook, receiver: Receiver) -> None:
    ids = hook.append(2)
    receiver.status = 500
    hook.deliver()
    hook.append(3)
    receiver.status = 204
    hook.waits(1)
    hook.deliver()
    first, second = receiver.calls
    assert first.ids == second.ids == ids
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    hook.deliver()
    assert len(receiver.calls[2].ids) == 3
    assert hook.view().failing_since is None


def test_the_waits_between_failures_double_up_to_five_minutes(hook: Hook, receiver: Receiver) -> None:
    hook.append()
    receiver.status = 503
    waits = []
    for _ in range(11):
        hook.deliver()
        waits.append((hook.view().next_at - hook.at).total_seconds())
        hook.waits(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert (hook.view().failures, hook.view().last_error) == (11, "it answered 503")


@pytest.mark.parametrize("down", [timedelta(minutes=5), timedelta(hours=1), timedelta(days=2, hours=23)])
def test_an_endpoint_that_was_down_gets_everything_afterwards_in_order(
    hook: Hook, receiver: Receiver, down: timedelta
) -> None:
    receiver.status = 500
    ids, end = hook.append(3), hook.at + down
    while hook.at < end:
        hook.deliver()
        # The clock takes steps of an hour, so that few calls stand for days.
        hook.at = max(hook.view().next_at, min(end, hook.at + timedelta(hours=1)))
    ids += hook.append(120)
    assert hook.view().status == "active"
    receiver.calls.clear()
    receiver.status = 200
    for _ in range(2):
        hook.deliver()
    assert [change for call in receiver.calls for change in call.ids] == ids[:3] + ids[3:103]
    hook.deliver()
    assert [change for call in receiver.calls for change in call.ids] == ids
    assert all(call.is_signed(hook.secret, hook.at) for call in receiver.calls)


def suspended(hook: Hook) -> float:
    """The metric of which the alert WebhookSuspended makes its decision."""
    samples = [sample for family in Webhooks(hook.pool).collect() for sample in family.samples]
    return next(one.value for one in samples if one.labels == {"status": "suspended"})


def test_after_three_days_it_is_suspended_and_goes_on_where_it_was_when_a_person_says_so(
    hook: Hook, receiver: Receiver
) -> None:
    receiver.status = 500
    ids = hook.append(2)
    hook.deliver()
    hook.waits(3 * 86_400 - 1)
    hook.deliver()
    assert hook.view().status == "active"
    before = suspended(hook)
    hook.waits(1)
    hook.deliver()
    assert (hook.view().status, suspended(hook)) == ("suspended", before + 1)
    later = hook.append(2)
    receiver.status, calls = 204, len(receiver.calls)
    hook.deliver()
    assert len(receiver.calls) == calls
    with hook.pool.connection() as conn:
        assert hook.id not in webhooks.take_due(conn)
        webhooks.resume(conn, hook.id)
        assert hook.id in webhooks.take_due(conn)
    hook.deliver()
    assert receiver.calls[-1].ids == ids + later
    assert receiver.calls[-1].is_signed(hook.secret, hook.at)
    assert (hook.view().status, suspended(hook)) == ("active", before)


def test_an_endpoint_that_is_gone_is_suspended_at_once(hook: Hook, receiver: Receiver) -> None:
    receiver.status = 410
    hook.append()
    hook.deliver()
    assert (hook.view().status, hook.view().last_error) == ("suspended", "it answered 410")


def test_a_replay_sends_again_behind_a_change(hook: Hook, receiver: Receiver) -> None:
    ids = hook.append(4)
    hook.deliver()
    with hook.pool.connection() as conn:
        webhooks.resume(conn, hook.id, ids[1])
    hook.deliver()
    assert [call.ids for call in receiver.calls] == [ids, ids[2:]]
    with hook.pool.connection() as conn, pytest.raises(ChangesGone):
        log.check(conn, ids[-1] + 1_000_000)


def test_a_replay_during_a_call_is_not_undone_by_its_end(hook: Hook, receiver: Receiver, queues: Queues) -> None:
    ids = hook.append(3)
    hook.deliver()
    more = hook.append(1)
    receiver.hold.set()
    calling = threading.Thread(target=hook.deliver)
    calling.start()
    eventually(lambda: len(receiver.calls) == 2, "the call has begun")
    with hook.pool.connection() as conn:
        webhooks.resume(conn, hook.id, ids[0] - 1)
    receiver.hold.clear()
    calling.join()
    assert hook.view().position == ids[0] - 1
    hook.deliver()
    assert receiver.calls[-1].ids == ids + more


def test_two_messages_at_once_make_one_call(hook: Hook, receiver: Receiver) -> None:
    hook.append()
    receiver.hold.set()
    calling = threading.Thread(target=hook.deliver)
    calling.start()
    eventually(lambda: receiver.calls, "the call has begun")
    hook.deliver()
    receiver.hold.clear()
    calling.join()
    hook.deliver()
    assert len(receiver.calls) == 1


def test_a_worker_that_crashed_in_a_call_is_followed_by_another_after_its_lease(hook: Hook, receiver: Receiver) -> None:
    ids = hook.append()
    with hook.pool.connection() as conn:
        assert webhooks.claim(conn, hook.id, hook.at)
    hook.deliver()
    assert not receiver.calls
    hook.waits(webhooks.LEASE_S)
    hook.deliver()
    assert [call.ids for call in receiver.calls] == [ids]


def test_endpoints_that_hang_keep_two_threads_and_others_come_later(
    hook: Hook, receiver: Receiver, sending: Services
) -> None:
    hook.append()
    for _ in range(WEBHOOK_SLOTS):
        sending.webhook_slots.acquire()
    hook.deliver()
    assert not receiver.calls
    with hook.pool.connection() as conn:
        assert hook.id in webhooks.take_due(conn)
    sending.webhook_slots.release()
    hook.deliver()
    assert len(receiver.calls) == 1


def test_what_it_does_not_want_is_passed_over_without_a_call(hook: Hook, receiver: Receiver) -> None:
    passed = hook.append(130, category="another")
    hook.deliver()
    assert (receiver.calls, hook.view().position, hook.view().delivered_at) == ([], passed[-1], None)
    hook.append(130, category="another")
    [wanted] = hook.append(1)
    hook.deliver()
    assert [call.ids for call in receiver.calls] == [[wanted]]


def test_a_new_secret_signs_at_once_and_the_former_one_for_a_day(hook: Hook, receiver: Receiver) -> None:
    with hook.pool.connection() as conn:
        new = webhooks.rotate(conn, hook.id, hook.at)
    hook.append()
    hook.deliver()
    call = receiver.calls[-1]
    assert call.verified(new) == call.verified(hook.secret)
    with hook.pool.connection() as conn:
        assert webhooks.secrets_of(conn, hook.id, hook.at + timedelta(hours=23)) == (new, hook.secret)
        assert webhooks.secrets_of(conn, hook.id, hook.at + timedelta(hours=24)) == (new,)
        conn.execute("UPDATE webhooks SET former_until = %s WHERE webhook_id = %s", [hook.at, hook.id])
    hook.append()
    hook.deliver()
    receiver.calls[-1].verified(new)
    with pytest.raises(WebhookVerificationError):
        receiver.calls[-1].verified(hook.secret)


def test_changes_that_the_log_has_lost_suspend_it_with_the_place_to_begin(hook: Hook, receiver: Receiver) -> None:
    hook.append()
    with hook.pool.connection() as conn:
        conn.execute("UPDATE webhooks SET position = -10 WHERE webhook_id = %s", [hook.id])
    hook.deliver()
    assert not receiver.calls
    view = hook.view()
    assert view.status == "suspended"
    assert "go on behind" in (view.last_error or "")


def test_a_webhook_that_is_written_again_keeps_its_secret_and_place(hook: Hook, receiver: Receiver) -> None:
    ids = hook.append(2)
    endpoint = Endpoint(url=receiver.url("hook.test"), types=("prices",), category=hook.category)
    with hook.pool.connection() as conn:
        assert webhooks.put(conn, hook.id, endpoint, "tests") is None
    hook.deliver()
    assert receiver.calls[0].ids == ids
    receiver.calls[0].verified(hook.secret)


def test_the_secret_is_in_no_view_and_no_text_of_the_struct(hook: Hook) -> None:
    with hook.pool.connection() as conn:
        shown: list[Any] = [webhooks.view(conn, hook.id), *webhooks.page(conn, 1_000)]
    assert hook.secret not in repr(shown)


def test_a_deleted_webhook_gets_nothing(hook: Hook, receiver: Receiver) -> None:
    hook.append()
    with hook.pool.connection() as conn:
        assert webhooks.delete(conn, hook.id)
        assert not webhooks.delete(conn, hook.id)
    hook.deliver()
    assert not receiver.calls
