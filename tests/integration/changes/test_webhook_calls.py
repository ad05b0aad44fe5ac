"""Calls of webhooks over real sockets: signed, pinned, bounded; forged and repeated ones are noticed."""

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import WebhookVerificationError

from shared.changes import webhooks
from shared.changes.endpoints import Resolve
from shared.changes.sending import CallFailed, Message, WebhookSender
from tests.support import tls_servers
from tests.support.webhook_receiver import Call, Receiver

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
MESSAGE = Message("search-1-7", '{"type":"changes","data":[]}')
SECRET, OTHER = webhooks.new_secret(), webhooks.new_secret()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as receiver:
        yield receiver


def sender(resolve: Resolve = lambda host, port: ["127.0.0.1"], call_s: float = 30) -> WebhookSender:
    return WebhookSender(LOOPBACK, resolve, call_s=call_s)


def sent(receiver: Receiver, *secrets: str, at: datetime | None = None) -> Call:
    sender().send(receiver.url("hook.test"), MESSAGE, secrets or (SECRET,), at)
    return receiver.calls[-1]


def test_a_call_is_signed_and_says_for_whom_it_is(receiver: Receiver) -> None:
    call = sent(receiver)
    assert call.verified(SECRET) == {"type": "changes", "data": []}
    assert call.body == MESSAGE.body
    assert call.headers["host"] == f"hook.test:{receiver.port}"
    assert (call.headers["content-type"], call.headers["webhook-id"]) == ("application/json", MESSAGE.id)


def test_both_secrets_sign_while_one_is_replaced(receiver: Receiver) -> None:
    call = sent(receiver, SECRET, OTHER)
    assert call.verified(SECRET) == call.verified(OTHER)


@pytest.mark.parametrize("part", ["body", "webhook-id", "webhook-timestamp", "webhook-signature", "secret"])
def test_a_forged_call_is_noticed(receiver: Receiver, part: str) -> None:
    call = sent(receiver)
    headers, body, secret = dict(call.headers), call.body, SECRET
    match part:
        case "body":
            body = body.replace("[]", "[1]")
        case "secret":
            secret = OTHER
        case "webhook-signature":
            headers[part] = "v1," + "A" * 43 + "="
        case "webhook-timestamp":
            headers[part] = str(int(headers[part]) + 1)
        case _:
            headers[part] += "-other"
    with pytest.raises(WebhookVerificationError):
        Call("/", headers, body, 0).verified(secret)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_call_that_is_repeated_later_is_noticed(receiver: Receiver, minutes: int) -> None:
    call = sent(receiver, at=datetime.now(UTC) + timedelta(minutes=minutes))
    with pytest.raises(WebhookVerificationError, match="timestamp"):
        call.verified(SECRET)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with closing(Receiver()) as private:
        receiver.status, receiver.headers = 307, {"location": private.url()}
        with pytest.raises(CallFailed, match="307: redirects are not followed"):
            sent(receiver)
        assert not private.calls


def test_a_name_is_resolved_once_for_a_call_and_another_answer_later_changes_nothing(receiver: Receiver) -> None:
    """DNS rebinding: the first answer passes the check, the second one would lead elsewhere."""
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    rebinding = sender(lambda host, port: answers.pop(0))
    rebinding.send(receiver.url("hook.test"), MESSAGE, [SECRET])
    assert len(receiver.calls) == 1
    assert len(answers) == 1
    with pytest.raises(CallFailed, match="not public"):
        rebinding.send(receiver.url("hook.test"), MESSAGE, [SECRET])
    assert len(receiver.calls) == 1


def test_a_private_address_is_called_by_nobody_unless_it_is_allowed(receiver: Receiver) -> None:
    with pytest.raises(CallFailed, match="not public"):
        WebhookSender(()).send(receiver.url(), MESSAGE, [SECRET])
    assert not receiver.calls


@pytest.mark.parametrize("status", [200, 400, 404, 410, 500])
def test_only_2xx_is_a_success_and_only_410_is_final(receiver: Receiver, status: int) -> None:
    receiver.status = status
    if status == 200:
        sent(receiver)
        return
    with pytest.raises(CallFailed, match=str(status)) as failed:
        sent(receiver)
    assert failed.value.is_final == (status == 410)


def test_a_receiver_that_hangs_is_given_up_in_time(receiver: Receiver) -> None:
    receiver.hold.set()
    with pytest.raises(CallFailed, match=r"not answer within 0\.3 s"):
        sender(call_s=0.3).send(receiver.url(), MESSAGE, [SECRET])


@pytest.mark.parametrize("headers", [None, {"x-endless": "x" * 1_000_000}])
def test_an_answer_that_is_garbage_or_endless_is_a_failure(receiver: Receiver, headers: dict[str, str] | None) -> None:
    if headers is None:
        receiver.status = None
    else:
        receiver.headers = headers
    with pytest.raises(CallFailed, match="the call failed"):
        sent(receiver)


def test_nobody_listening_is_a_failure(receiver: Receiver) -> None:
    url = receiver.url()
    receiver.close()
    with pytest.raises(CallFailed, match="the call failed"):
        sender().send(url, MESSAGE, [SECRET])


def test_a_certificate_must_be_of_the_name_and_not_of_the_address(tmp_path: Path) -> None:
    known = tls_servers.authority(tmp_path / "authority")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(known.certificate, known.key)
    trust = ssl.create_default_context(cafile=str(known.root))
    with closing(Receiver(server)) as receiver:
        secure = WebhookSender(LOOPBACK, lambda host, port: ["127.0.0.1"], trust)
        secure.send(receiver.url("localhost"), MESSAGE, [SECRET])
        assert receiver.calls[-1].headers["host"] == f"localhost:{receiver.port}"
        with pytest.raises(CallFailed, match="the call failed"):
            secure.send(receiver.url("other.test"), MESSAGE, [SECRET])
        with pytest.raises(CallFailed, match="the call failed"):
            WebhookSender(LOOPBACK).send(receiver.url("localhost"), MESSAGE, [SECRET])
    assert len(receiver.calls) == 1
