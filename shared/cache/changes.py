"""Applies the announcements on `price_changes` to the near cache: new prices are served in milliseconds."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import redis
import structlog

from shared.cache.near import NearCache
from shared.messaging.channel import PRICE_CHANGES, PriceChanges
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
async def followed_by(near: NearCache, events: redis.Redis) -> AsyncIterator[None]:
    """Apply announcements to a near cache for the duration of a block.

    A thread reads the channel, with the same `Subscription` as the listener. While the subscription is down, the
    near cache's own limit of a second bounds the age of its sheets.
    """
    stop = threading.Event()
    thread = threading.Thread(
        target=_follow, args=(Subscription(events, PRICE_CHANGES), near, stop), name="price-changes"
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)


def _follow(subscription: Subscription, near: NearCache, stop: threading.Event) -> None:
    is_up = True
    while not stop.is_set():
        try:
            messages = subscription.take(WAIT_S)
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
        for message in messages:
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
