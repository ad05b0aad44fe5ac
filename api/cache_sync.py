"""New sheets of a write over HTTP go into Redis at once; after a crash in between, or without Redis, a task does it."""

from collections.abc import Sequence
from uuid import UUID

import redis
import structlog

from api.services import Services
from shared.catalogue.product_set import ProductSet
from shared.jobs import tasks
from shared.postgres.pools import Conn
from shared.prices.new_versions import StoredSheet
from shared.telemetry import propagation

log = structlog.get_logger(__name__)

MOST = 5_000  # products of one task


def begin(conn: Conn, product_ids: Sequence[str]) -> list[UUID]:
    """Create the tasks that put these products' sheets, claimed by this process, in the writing transaction."""
    traceparent = propagation.current()["traceparent"]
    claimed = []
    for start in range(0, len(product_ids), MOST):
        product_set = ProductSet(product_ids=tuple(product_ids[start : start + MOST]))
        claimed.append(tasks.create(conn, "cache_sync", product_set, traceparent))
        tasks.claim_one(conn, claimed[-1])
    return claimed


def run(services: Services, claimed: Sequence[UUID], sheets: Sequence[StoredSheet]) -> None:
    """Put and announce the sheets after the commit, and end the tasks. This process serves them at once."""
    services.near.changed((sheet.product_id, sheet.version) for sheet in sheets)
    if not claimed:
        return
    try:
        services.writer.put(sheets)
    except redis.RedisError as error:
        log.warning("redis away, the sweep will publish the price", product_id=sheets[0].product_id, error=str(error))
        with services.transaction() as conn:
            tasks.release(conn, list(claimed))
        return
    with services.transaction() as conn:
        for task_id in claimed:
            tasks.done_by_writer(conn, task_id)
