"""Follows the announcements of new prices and of a new rulebook: both are served in milliseconds."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import redis
import structlog

from shared.cache.near import NearCache
from shared.cache.rulebook import RulebookCopy
from shared.messaging.channel import PRICE_CHANGES, RULEBOOK, PriceChanges
from shared.messaging.subscription import Subscription
from shared.telemetry.metrics import CHANGES_REFUSED, CHANGES_SUBSCRIPTION_UP, NEAR_STALENESS

log = structlog.get_logger(__name__)

WAIT_S = 0.25
RECONNECT_S = 0.5
# Of an invalid message, for the log.
MESSAGE_BYTES = 200
# An announcement that claims to be older, or younger, is no measurement.
MOST_AGE_S = 3_600.0


@asynccontextmanager
async def followed_by(near: NearCache, rulebook: RulebookCopy, events: redis.Redis) -> AsyncIterator[None]:
    """Apply announcements to a near cache and a copy of the rulebook for the duration of a block.

    A thread reads the channels, with the same `Subscription` as the listener. While the subscription is down, the
    near cache's own limit of a second bounds the age of its sheets, and the rulebook is read again and again anyway.
    """
    stop, loop = threading.Event(), asyncio.get_running_loop()

    def read_rulebook() -> None:
        loop.call_soon_threadsafe(rulebook.read_soon)

    subscription = Subscription(events, PRICE_CHANGES, RULEBOOK)
    thread = threading.Thread(target=_follow, args=(subscription, near, read_rulebook, stop), name="changes")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)


def _follow(
    subscription: Subscription, near: NearCache, read_rulebook: Callable[[], None], stop: threading.Event
) -> None:
    is_up = True
    while not stop.is_set():
        try:
            messages = subscription.take_named(WAIT_S)
        except Exception as error:  # noqa: BLE001 # the outermost loop of a thread
            if is_up:
                log.warning("price changes are not received, prices are up to a second old", error=str(error))
            is_up = False
            CHANGES_SUBSCRIPTION_UP.set(0)
            stop.wait(RECONNECT_S)
            continue
        if not is_up:
            log.info("price changes are received again")
        is_up = True
        CHANGES_SUBSCRIPTION_UP.set(1)
        for channel, message in messages:
            if channel == RULEBOOK:
                read_rulebook()
            else:
                _apply(message, near)
    subscription.close()


def _apply(message: bytes, near: NearCache) -> None:
    try:
        announced = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        CHANGES_REFUSED.inc()
        log.warning("invalid announcement", message=message[:MESSAGE_BYTES].decode(errors="replace"), error=str(error))
        return
    near.changed(announced.changes)
    age_s = time.time() - announced.at
    if abs(age_s) <= MOST_AGE_S:
        NEAR_STALENESS.observe(max(0.0, age_s))


_decoder = msgspec.json.Decoder(PriceChanges)
