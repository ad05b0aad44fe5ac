"""The backlog is bounded; what it has no room for is counted."""

import threading

from listener.backlog import Backlog
from shared.telemetry.metrics import MESSAGES_REFUSED


def refused() -> float:
    return float(MESSAGES_REFUSED._value.get())


def test_messages_stay_in_their_order_until_they_are_dropped() -> None:
    backlog = Backlog()
    backlog.add([b"1", b"2"])
    backlog.add([b"3"])
    assert backlog.first(2) == [b"1", b"2"]
    assert backlog.first(2) == [b"1", b"2"]
    backlog.drop(2)
    assert (backlog.first(2), len(backlog)) == ([b"3"], 1)


def test_messages_beyond_the_number_are_refused_and_counted() -> None:
    backlog, before = Backlog(max_messages=2), refused()
    backlog.add([b"1", b"2", b"3", b"4"])
    assert backlog.first(10) == [b"1", b"2"]
    assert refused() - before == 2
    backlog.drop(1)
    backlog.add([b"5"])
    assert backlog.first(10) == [b"2", b"5"]


def test_messages_beyond_the_bytes_are_refused_and_counted() -> None:
    backlog, before = Backlog(max_bytes=5), refused()
    backlog.add([b"abc", b"def"])
    assert backlog.first(10) == [b"abc"]
    assert refused() - before == 1
    backlog.drop(1)
    backlog.add([b"def"])
    assert backlog.first(10) == [b"def"]


def test_a_full_standby_keeps_the_newest_and_refuses_nothing() -> None:
    backlog, before = Backlog(max_messages=2), refused()
    backlog.is_standby = True
    backlog.add([b"1", b"2", b"3"])
    assert backlog.first(10) == [b"2", b"3"]
    assert refused() == before


def test_a_standby_forgets_what_is_old() -> None:
    now = [0.0]
    backlog = Backlog(max_bytes=4, monotonic=lambda: now[0])
    backlog.add([b"old"])
    now[0] = 20.0
    backlog.add([b"n"])
    now[0] = 31.0
    backlog.drop_older_than(30.0)
    assert backlog.first(10) == [b"n"]
    backlog.add([b"abc"])
    assert len(backlog) == 2


def test_a_message_ends_the_wait_for_one() -> None:
    backlog = Backlog()
    threading.Timer(0.01, backlog.add, [[b"1"]]).start()
    backlog.wait(60)
    assert backlog.first(1) == [b"1"]
