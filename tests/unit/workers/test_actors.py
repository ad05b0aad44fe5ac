"""The actors: each in its queue, with the bounds that its work needs."""

from typing import Any

import dramatiq
import pytest
from dramatiq import Broker
from dramatiq.brokers.stub import StubBroker
from dramatiq_abort import Abort

from shared.messaging import messages
from workers import actors, app
from workers.completion import Completion
from workers.middleware.outcomes import never
from workers.services import Services

MINUTE_MS = 60_000

# An event's job is short and cannot be aborted. An aborted task is no error. A shutdown interrupts a cache sync; a run
# ends its partition first.
EVENT: dict[str, Any] = {"time_limit": MINUTE_MS, "abortable": False}
TASK: dict[str, Any] = {"time_limit": 10 * MINUTE_MS, "throws": (Abort,)}
DECLARED = {
    "reprice_products": ("events", EVENT, Completion.products),
    "change_market": ("events", EVENT, Completion.market),
    "deliver_webhook": ("events", EVENT | {"retry_when": never}, None),
    "recalculate": ("tasks", TASK, Completion.task),
    "make_plan": ("tasks", TASK, Completion.task),
    "apply_plan": ("tasks", TASK, Completion.task),
    "join_run": ("tasks", TASK | {"abortable": False, "retry_when": never}, Completion.join),
    "sync_cache": ("tasks", TASK | {"notify_shutdown": True}, Completion.task),
}


def declared(services: Services) -> Broker:
    broker = StubBroker(app.middleware(services))
    actors.register(broker, services)
    return broker


def test_every_actor_that_a_message_may_name_is_in_the_table() -> None:
    assert set(DECLARED) == messages.ACTORS


@pytest.mark.parametrize("name", DECLARED)
def test_an_actor_has_its_queue_its_limits_and_its_completion(services: Services, name: str) -> None:
    queue, options, completion = DECLARED[name]
    actor = declared(services).get_actor(name)
    on_error = actor.options.get("on_error")
    assert actor.queue_name == queue
    assert {key: value for key, value in actor.options.items() if key != "on_error"} == options
    assert getattr(on_error, "__func__", None) is completion


def test_a_free_thread_takes_an_event_before_a_task(services: Services) -> None:
    broker = declared(services)
    priorities: dict[str, set[int]] = {"events": set(), "tasks": set()}
    # A webhook is behind the events in their queue.
    for name in messages.ACTORS - {"deliver_webhook"}:
        actor = broker.get_actor(name)
        priorities[actor.queue_name].add(actor.priority)
    # Dramatiq takes the lower number first.
    assert max(priorities["events"]) < min(priorities["tasks"])


def test_an_actor_that_no_message_names_is_refused(services: Services) -> None:
    broker = StubBroker(app.middleware(services))
    dramatiq.actor(broker=broker, actor_name="forgotten")(lambda: None)
    with pytest.raises(RuntimeError, match="no actor"):
        actors.register(broker, services)
