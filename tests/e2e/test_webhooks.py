"""Webhooks through the real processes: a change arrives signed, and an operator sees and steers them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from tests.support.engine import Engine
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Call, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as receiver:
        yield receiver


class Hook:
    """A webhook for one category."""

    def __init__(self, engine: Engine, receiver: Receiver) -> None:
        self.engine, self.receiver = engine, receiver
        # Of the longest category that products have.
        self.id, self.category = f"h-{uuid4().hex[:8]}", f"c-{uuid4().hex[:8]}".ljust(256, "x")
        self.path = f"/api/v1/webhooks/{self.id}"
        body = {"url": receiver.url(), "types": ["prices"], "category": self.category}
        answer = engine.http.put(self.path, json=body)
        assert answer.status_code == 200, answer.text
        self.secret: str = answer.json()["secret"]

    def call(self, path: str, **body: object) -> Any:
        answer = self.engine.http.post(f"{self.path}/{path}", json=body or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def arrived(self, number: int) -> list[Call]:
        """The calls, once there are so many changes in them."""
        calls = self.receiver.calls
        eventually(lambda: sum(len(call.ids) for call in calls) >= number, f"{number} changes have arrived")
        return calls


@pytest.fixture
def hook(engine: Engine, receiver: Receiver) -> Iterator[Hook]:
    hook = Hook(engine, receiver)
    yield hook
    engine.http.delete(hook.path)


def test_a_price_change_arrives_signed_and_in_order(engine: Engine, hook: Hook) -> None:
    product = engine.put_product(category=hook.category, base_price="100.00")
    for price in ("110.00", "120.00"):
        engine.put_product(**product | {"base_price": price})
    calls = hook.arrived(3)
    changes = [change for call in calls for event in call.verified(hook.secret)["data"] for change in event["changes"]]
    assert [change["new_price"] for change in changes] == ["100.00", "110.00", "120.00"]
    view = engine.http.get(hook.path).json()
    assert (view["status"], view["failing_since"], view["author"]) == ("active", None, "admin")
    assert hook.secret not in str(view)


def test_an_endpoint_that_fails_gets_the_same_again_until_it_accepts(engine: Engine, hook: Hook) -> None:
    hook.receiver.status = 500
    engine.put_product(category=hook.category)
    eventually(lambda: len(hook.receiver.calls) >= 2, "it was tried again")
    hook.receiver.status = 200
    eventually(lambda: engine.http.get(hook.path).json()["failures"] == 0, "it was accepted")
    assert len({call.body for call in hook.receiver.calls}) == 1


def test_a_test_call_a_replay_and_a_new_secret(engine: Engine, hook: Hook) -> None:
    assert hook.call("test")["is_accepted"]
    [call] = hook.receiver.calls
    assert call.verified(hook.secret)["type"] == "test"
    hook.receiver.calls.clear()
    engine.put_product(category=hook.category)
    [first] = hook.arrived(1)[0].ids
    new = hook.call("rotate-secret")["secret"]
    hook.call("replay", change_id=first - 1)
    again = hook.arrived(2)[1]
    assert again.ids == [first]
    assert again.verified(new) == again.verified(hook.secret)
    hook.receiver.status = 500
    assert hook.call("test") == {"is_accepted": False, "seconds": None, "error": "it answered 500"}
    gone = engine.http.post(f"{hook.path}/replay", json={"change_id": 999_999_999_999})
    assert (gone.status_code, gone.json()["type"]) == (410, "urn:pricing:changes-gone")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"url": "https://10.0.0.1/"}, "$.url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "$.url"),
        ({"url": "https://no-such-name.invalid/"}, "$.url"),
        ({"url": "ftp://shop.example.com/"}, "$.url"),
        ({"url": "https://10.0.0.1/", "types": ["everything"]}, "$.types[0]"),
        ({}, "$"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_with_the_reason(
    engine: Engine, body: dict[str, object], path: str
) -> None:
    answer = engine.http.put(f"/api/v1/webhooks/h-{uuid4().hex[:8]}", json=body)
    assert (answer.status_code, answer.json()["path"]) == (422, path), answer.text


def test_a_webhook_that_is_not_there_is_not_found(engine: Engine) -> None:
    path = "/api/v1/webhooks/nobody"
    assert engine.http.get(path).status_code == 404
    assert engine.http.delete(path).status_code == 404
    for call in ("test", "resume", "rotate-secret"):
        assert engine.http.post(f"{path}/{call}").status_code == 404


def test_an_operator_lists_and_steers_webhooks(engine: Engine, hook: Hook) -> None:
    def just(*arguments: object) -> str:
        command = [sys.executable, "-m", "shared.commands", "webhooks", *map(str, arguments)]
        environ = {"PRICING_HOME": str(engine.home), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert hook.id in just()
    assert "changes are sent again" in just("replay", hook.id, engine.http.get(hook.path).json()["position"])
    assert "changes wait" in just("resume", hook.id)
    assert just("rotate", hook.id).strip().startswith("whsec_")
    assert "deleted" in just("delete", hook.id)
    assert engine.http.get(hook.path).status_code == 404
