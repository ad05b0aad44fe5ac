"""One call of a webhook: signed by Standard Webhooks, to a pinned address, bounded in time and size."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import httpx
from standardwebhooks import Webhook

from shared.changes import endpoints
from shared.changes.endpoints import Networks, Resolve, Unusable

CALL_S = 10.0
USER_AGENT = "pricing-engine"
GONE = 410


class CallFailed(Exception):
    """A call that did not succeed; the text says why. `is_final`: the endpoint asks for no further ones."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Message(NamedTuple):
    """What is sent. The same id and body are sent again after a failure."""

    id: str
    body: str


class WebhookSender:
    """Sends messages. Redirects are not followed, no proxy is used, and of an answer only the status is read."""

    def __init__(
        self,
        allowed: Networks,
        resolve: Resolve = endpoints.system_resolve,
        certificates: ssl.SSLContext | None = None,
        call_s: float = CALL_S,
    ) -> None:
        """A sender.

        Args:
            allowed: Networks that may be called although they are not public.
            resolve: Returns the addresses of a name.
            certificates: Whom to trust; None: as the system does.
            call_s: The time of a call, from the connection to the status.
        """
        self._allowed, self._resolve, self._call_s = allowed, resolve, call_s
        self._certificates = certificates or httpx.create_ssl_context(trust_env=False)

    def check(self, url: str) -> None:
        """Raise Unusable where an endpoint cannot be called."""
        endpoints.target(url, self._allowed, self._resolve)

    def send(self, url: str, message: Message, secrets: Sequence[str], now: datetime | None = None) -> float:
        """Send a message, signed with each secret; returns the seconds that it took.

        Raises:
            CallFailed: the endpoint did not accept it.
        """
        began = time.monotonic()
        try:
            target = endpoints.target(url, self._allowed, self._resolve)
            status = asyncio.run(self._post(target, message, _headers(message, secrets, now or datetime.now(UTC))))
        except Unusable as error:
            raise CallFailed(f"it cannot be called: {error}") from None
        except TimeoutError:
            raise CallFailed(f"it did not answer within {self._call_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise CallFailed(f"the call failed: {type(error).__name__}: {error}".rstrip(": ")) from None
        if 300 <= status < 400:
            raise CallFailed(f"it answered {status}: redirects are not followed")
        if not 200 <= status < 300:
            raise CallFailed(f"it answered {status}", is_final=status == GONE)
        return time.monotonic() - began

    async def _post(self, target: endpoints.Target, message: Message, headers: dict[str, str]) -> int:
        # httpx bounds each read; this bounds all of them together.
        async with asyncio.timeout(self._call_s):
            transport = httpx.AsyncHTTPTransport(verify=self._certificates, trust_env=False)
            async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=self._call_s) as client:
                request = client.build_request(
                    "POST",
                    target.url,
                    content=message.body.encode(),
                    headers=headers | {"host": target.host_header},
                    extensions={"sni_hostname": target.host},
                )
                response = await client.send(request, stream=True, follow_redirects=False)
                await response.aclose()
                return response.status_code


def _headers(message: Message, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    # The library reads the time without its zone.
    at = now.astimezone(UTC)
    signatures = [Webhook(secret).sign(message.id, at, message.body) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": message.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
