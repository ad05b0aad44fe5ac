"""A steady stream of updates: competitors' prices over HTTP, each repeated until it is accepted."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import httpx

SOURCE = "chaos"
PAUSE_S = 0.2
GIVE_UP_S = 120.0
LOWEST_CENTS, HIGHEST_CENTS = 9_200, 9_999  # within the strategy's range and its largest step, whatever was before


@dataclass(frozen=True)
class Refusal:
    """An answer that did not accept an event: when, the status (0: none), and its `Retry-After`."""

    at: float
    status: int
    retry_after: str


class Traffic:
    """Publishes one event after the other, at a fixed rate where the answers allow it.

    Attributes:
        accepted: The ids of accepted events, and what they say.
        last: The last accepted value of each product.
        refusals: Answers other than 200.
        errors: What broke the publishing itself.
    """

    def __init__(self, url: str, key: str, product_ids: list[str], rng: Random, run: str, per_s: float = 10.0) -> None:
        self.accepted: dict[str, tuple[str, Decimal]] = {}
        self.last: dict[str, Decimal] = {}
        self.refusals: list[Refusal] = []
        self.errors: list[str] = []
        self._product_ids, self._rng, self._run, self._interval_s = product_ids, rng, run, 1 / per_s
        headers = {"authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=10, trust_env=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flow, daemon=True)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._http.close()

    def stop(self) -> None:
        """No more updates; the one under way is still brought to its end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=GIVE_UP_S + 20)

    def forget(self) -> None:
        """Expect nothing of what was accepted so far: a restored backup does not have it."""
        self.accepted.clear()
        self.last.clear()

    def burst(self, count: int) -> None:
        """Publish so many one after the other, as fast as the answers come; in place of the steady stream."""
        for number in range(1, count + 1):
            self.publish(self._rng.choice(self._product_ids), number)

    def statuses(self) -> Counter[int]:
        """How often each status other than 200 was answered."""
        return Counter(refusal.status for refusal in self.refusals)

    def publish(self, product_id: str, number: int) -> None:
        """Publish a new value for a product until it is accepted.

        Raises:
            TimeoutError: not within two minutes.
        """
        value = self._value(product_id)
        event_id = f"{self._run}-{number:06}"
        competitor = {"product_id": product_id, "competitor": "acme", "price": str(value), "currency": "USD"}
        body: dict[str, object] = {"type": "competitor_price_changed", "data": competitor, "event_id": event_id}
        body |= {"source": SOURCE, "time": datetime.now(UTC).isoformat()}
        self._until_accepted(body)
        self.accepted[event_id] = product_id, value
        self.last[product_id] = value

    def _flow(self) -> None:
        due, number = time.monotonic(), 0
        try:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                # What could not be sent in time is not made up for: it would be a burst.
                due, number = max(due + self._interval_s, time.monotonic()), number + 1
                self.publish(self._rng.choice(self._product_ids), number)
        except Exception as error:  # noqa: BLE001 # the thread's outermost frame: the judge tells of it
            self.errors.append(f"the updates ended: {type(error).__name__}: {error}")

    def _value(self, product_id: str) -> Decimal:
        """A new value, other than the last one, so that it can be told from it."""
        while (value := Decimal(self._rng.randint(LOWEST_CENTS, HIGHEST_CENTS)) / 100) == self.last.get(product_id):
            pass
        return value

    def _until_accepted(self, body: dict[str, object]) -> None:
        end = time.monotonic() + GIVE_UP_S
        while time.monotonic() < end:
            status, retry_after = self._post(body)
            if status == 200:
                return
            self.refusals.append(Refusal(time.monotonic(), status, retry_after))
            time.sleep(PAUSE_S)
        raise TimeoutError(f"{body['event_id']} was not accepted within {GIVE_UP_S:.0f} s")

    def _post(self, body: dict[str, object]) -> tuple[int, str]:
        try:
            response = self._http.post("/api/v1/publish-market-event", json=body)
        except httpx.TransportError:
            return 0, ""
        return response.status_code, response.headers.get("retry-after", "")
