"""Writes of products beside other writers of their prices."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec

from api import product_writes
from api.product_writes import Conditions
from shared.cache.near import NearCache
from shared.cache.writer import SheetWriter
from shared.catalogue import products
from shared.postgres.pools import Pool
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy
from shared.rulebook.values import By
from tests.integration.catalogue_examples import new_id, product, write
from tests.support.waiting import DEADLINE_S, eventually

WAITING = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM products%'
"""


def is_waiting(pool: Pool) -> bool:
    # A transaction sees the activity of its first look.
    with pool.connection() as conn:
        return conn.execute(WAITING).rowcount > 0


def test_a_write_that_waited_for_a_decision_uses_the_policy_of_then(
    pool: Pool, policy: ActivePolicy, cache: Any, settings: Any
) -> None:
    """A run under a new policy holds the product; the older policy must not come back with the write behind it."""
    product_id = new_id()
    write(pool, policy, product(product_id))
    services: Any = SimpleNamespace(
        transaction=pool.connection,
        near=NearCache(10, 100_000),
        writer=SheetWriter(cache, cache, settings.cache_ttl_s, pool),
    )
    with pool.connection() as conn:
        before = rulebook.active(conn).rulebook
    stricter = msgspec.structs.replace(before.policy, max_over_list=before.policy.max_over_list + 1)
    try:
        with ThreadPoolExecutor(1) as threads, pool.connection() as run:
            products.lock(run, [product_id])
            changed = product(product_id, base_price=Decimal(80))
            writing = threads.submit(product_writes.write, services, changed, Conditions())
            eventually(lambda: is_waiting(pool), "the write waits for the product")
            with pool.connection() as other:
                revised = msgspec.structs.replace(before, policy=stricter)
                published = rulebook.publish(other, revised, By("test", "policy"))
            run.rollback()
            writing.result(DEADLINE_S)
        with pool.connection() as conn:
            query = "SELECT policy_version FROM prices WHERE product_id = %s"
            assert conn.execute(query, [product_id]).fetchone() == {"policy_version": published.version}
    finally:
        with pool.connection() as conn:
            rulebook.publish(conn, before, By("test", "policy"))
