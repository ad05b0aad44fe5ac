"""The listener's bridge beside the workers."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import msgspec

from listener.bridge import Bridge
from shared.market_events import inbox, repricing_queue
from shared.messaging import channel
from shared.messaging.messages import Enqueuer
from shared.postgres.pools import Pool
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id
from tests.support.waiting import eventually

WAITS_FOR = "SELECT 1 FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"


def test_a_worker_that_begins_and_a_bridge_that_rings_for_the_same_product_do_not_deadlock(
    pool: Pool, settings: Settings
) -> None:
    product_id = new_id()
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "elsewhere", "type": "demand_changed"}
    raw = msgspec.json.encode(event | {"data": {"product_id": product_id, "index": "1.1"}})
    queue = channel.client(settings.redis_for("broker"), "tests")
    bridge = Bridge(pool, Enqueuer(queue))
    with ThreadPoolExecutor(1) as threads, pool.connection() as worker, pool.connection() as looking:
        assert repricing_queue.begin(worker, product_id)
        receiving = threads.submit(bridge.receive, [raw])
        eventually(
            lambda: looking.execute(WAITS_FOR, [worker.info.backend_pid]).fetchone(), "the bridge waits for the worker"
        )
        [begun] = inbox.begin(worker, product_id=product_id)
        worker.commit()
        receiving.result()
    assert begun.id == event["id"]
    queue.close()
