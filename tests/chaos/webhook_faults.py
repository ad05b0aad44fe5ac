"""Receivers of webhooks that hang, answer garbage, or redirect to a private address."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

import httpx

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Receiver

BESIDE_S = 5.0
CAUGHT_UP_S = 30.0
# Changes that arrive, or fail to arrive, in one stage of a case.
SOME = 20
PRIVATE = "127.0.0.2"


class Hook(NamedTuple):
    """A webhook for all prices, and its receiver."""

    path: str
    secret: str
    position: int
    receiver: Receiver


def _hangs(context: Context) -> Figure:
    return _faulty(context, lambda receiver: receiver.hold.set(), failures=1)  # each lasts 10 s


def _garbage(context: Context) -> Figure:
    return _faulty(context, lambda receiver: setattr(receiver, "status", None))


def _redirects(context: Context) -> Figure:
    with closing(Receiver(host=PRIVATE)) as private:

        def redirect(receiver: Receiver) -> None:
            receiver.headers["location"] = private.url(PRIVATE, "/latest/meta-data")
            receiver.status = 307

        figure = _faulty(context, redirect)
        assert private.calls == [], "the private address was called"
        direct = _put(context, "direct", private.url(PRIVATE))
        assert direct.status_code == 422, f"a webhook to {PRIVATE} was accepted: {direct.text}"
    return figure


def _faulty(context: Context, break_: Callable[[Receiver], None], failures: int = 2) -> Figure:
    """One receiver fails beside a good one; then it is good again, and gets everything in order."""
    with ExitStack() as undo:
        faulty = undo.enter_context(_hook(context, "faulty"))
        good = undo.enter_context(_hook(context, "good"))
        eventually(lambda: _changes(faulty) >= SOME, "changes arrive")
        break_(faulty.receiver)
        eventually(lambda: _view(context, faulty)["failures"] >= failures, "its calls fail")
        seen = _view(context, faulty)["failures"]
        assert _view(context, faulty)["status"] == "active"
        last = _last(context)
        beside = context.seconds_until(lambda: _ids(good)[-1] >= last, "the other one gets the changes")
        faulty.receiver.hold.clear()
        faulty.receiver.status, faulty.receiver.headers = 204, {}
        last = _last(context)
        caught_up = context.seconds_until(lambda: _ids(faulty)[-1] >= last, "it gets what it missed")
        context.traffic.stop()
        for hook in (faulty, good):
            _is_whole(context, hook)
    return Figure(
        f"{seen} calls failed; all changes after {caught_up:.1f} s; the other one was {beside:.1f} s behind",
        [*at_most("the other webhook has all", beside, BESIDE_S), *at_most("it has all", caught_up, CAUGHT_UP_S)],
    )


@contextmanager
def _hook(context: Context, name: str) -> Iterator[Hook]:
    with closing(Receiver()) as receiver:
        answer = _put(context, name, receiver.url())
        assert answer.status_code == 200, answer.text
        path = str(answer.request.url.path)
        position = context.environment.engine.http.get(path).json()["position"]
        yield Hook(path, answer.json()["secret"], position, receiver)
        context.environment.engine.http.delete(path)


def _put(context: Context, name: str, url: str) -> httpx.Response:
    body = {"url": url, "types": ["prices"]}
    return context.environment.engine.http.put(f"/api/v1/webhooks/{context.run}-{name}", json=body)


def _view(context: Context, hook: Hook) -> dict[str, Any]:
    view: dict[str, Any] = context.environment.engine.http.get(hook.path).json()
    return view


def _ids(hook: Hook) -> list[int]:
    """The changes that the receiver accepted, in their order."""
    return [0, *(change for call in list(hook.receiver.accepted) for change in call.ids)]


def _changes(hook: Hook) -> int:
    return len(_ids(hook)) - 1


def _last(context: Context) -> int:
    [row] = context.environment.engine.sql(
        "SELECT coalesce(max(change_id), 0) AS last FROM changes WHERE type = 'prices'"
    )
    return int(row["last"])


def _is_whole(context: Context, hook: Hook) -> None:
    """Each change arrived, in its order, with a valid signature; a call whose answer was lost may be repeated."""
    eventually(lambda: _view(context, hook)["behind"] == 0, "nothing is left to deliver")
    arrived = _ids(hook)[1:]
    query = "SELECT change_id FROM changes WHERE type = 'prices' AND change_id > %s ORDER BY change_id"
    logged = [row["change_id"] for row in context.environment.engine.sql(query, hook.position)]
    first_seen = list(dict.fromkeys(arrived))
    missing = sorted(set(logged[: len(first_seen)]) - set(first_seen))
    assert first_seen == logged[: len(first_seen)], f"changes are missing or out of order: {missing[:5]}"
    for call in hook.receiver.calls:
        call.verified(hook.secret)
    bodies = {call.headers["webhook-id"]: call.body for call in hook.receiver.calls}
    assert all(bodies[call.headers["webhook-id"]] == call.body for call in hook.receiver.calls), "a body was changed"


_BAR = (
    f"another webhook ≤ {BESIDE_S:g} s behind; afterwards everything in order with valid signatures ≤ {CAUGHT_UP_S:g} s"
)
CASES = (
    Case("webhook-hangs", "a receiver of webhooks that does not answer", _BAR, _hangs, limit_s=120),
    Case("webhook-garbage", "a receiver of webhooks that answers bytes that are no HTTP", _BAR, _garbage, limit_s=120),
    Case(
        "webhook-redirects",
        "a receiver of webhooks that redirects to a private address",
        f"the private address is never called; {_BAR}",
        _redirects,
        limit_s=120,
    ),
)
