"""The subscriber survives whatever happens to the channel, and says when it was away."""

import threading
from collections.abc import Callable
from typing import cast

import redis

from listener.backlog import Backlog
from listener.subscriber import Subscriber
from shared.messaging.subscription import Subscription
from shared.telemetry.metrics import LOOP_ERRORS, MARKET_SUBSCRIPTION_UP, SUBSCRIPTION_LOSSES

Step = Callable[[], list[bytes]]


class ScriptedSubscription:
    """Takes one step of a script at each call, and then stops the subscriber."""

    def __init__(self, stop: threading.Event, *steps: Step) -> None:
        self.steps, self.stop = list(steps), stop
        self.is_up, self.is_closed = False, False

    def take(self, wait_s: float) -> list[bytes]:
        if len(self.steps) == 1:
            self.stop.set()
        try:
            taken = self.steps.pop(0)()
        except Exception:
            self.is_up = False
            raise
        self.is_up = True
        return taken

    def close(self) -> None:
        self.is_closed = True


def gone() -> list[bytes]:
    raise redis.ConnectionError("gone")


def broken() -> list[bytes]:
    raise ValueError("a fault of ours")


def run(*steps: Step) -> tuple[ScriptedSubscription, Backlog, list[bool]]:
    """Run a subscriber through a script; what is left, and once for each time that it came up."""
    # Waits between failures end at once.
    stop = Impatient()
    subscription, backlog, ups = ScriptedSubscription(stop, *steps), Backlog(), list[bool]()
    Subscriber(cast(Subscription, subscription), backlog, lambda: ups.append(True)).run(stop)
    return subscription, backlog, ups


class Impatient(threading.Event):
    """An event that is not waited for."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def test_messages_go_into_the_backlog_in_their_order() -> None:
    subscription, backlog, _ = run(lambda: [b"1", b"2"], list, lambda: [b"3"])
    assert backlog.first(10) == [b"1", b"2", b"3"]
    assert subscription.is_closed


def test_after_each_new_subscription_the_sweep_is_called() -> None:
    lost = SUBSCRIPTION_LOSSES._value.get()
    _, backlog, ups = run(list, list, gone, gone, lambda: [b"1"])
    assert len(ups) == 2
    assert backlog.first(10) == [b"1"]
    # The second failure is no loss: the subscription was gone already.
    assert SUBSCRIPTION_LOSSES._value.get() - lost == 1
    assert MARKET_SUBSCRIPTION_UP._value.get() == 1


def test_an_error_that_nobody_foresaw_is_counted_and_survived() -> None:
    before = LOOP_ERRORS.labels("ValueError")._value.get()
    _, backlog, _ = run(broken, lambda: [b"1"])
    assert backlog.first(10) == [b"1"]
    assert LOOP_ERRORS.labels("ValueError")._value.get() - before == 1
