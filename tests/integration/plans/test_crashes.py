"""A plan that is killed or aborted leaves nothing; an application that is killed goes on to its end."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from shared.jobs import tasks
from shared.plans import planning
from shared.postgres.leases import LEASE_S
from shared.prices.new_versions import StoredSheet
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop
from workers.jobs import plans

MARGIN = Decimal("0.4")


class Killed(BaseException):
    """As SIGKILL: nothing is released."""


def crowded(shop: Shop) -> None:
    """Products in three partitions."""
    shop.write(*(product(product_id, cost=Decimal(90), category="toys") for product_id in shop.ids(2_500)))


def later(shop: Shop, task_id: UUID) -> None:
    """The leases of the killed worker end."""
    with shop.services.pool.connection() as conn:
        for table in (b"tasks", b"run_partitions"):
            query = b"UPDATE " + table + b" SET lease_until = lease_until - make_interval(secs => %s)"
            conn.execute(query + b" WHERE task_id = %s", [LEASE_S, task_id])


def rows(shop: Shop, plan_id: UUID) -> list[int]:
    """The parts and the items of a plan."""
    with shop.services.pool.connection() as conn:
        found: list[int] = []
        for query in (
            b"SELECT count(*) AS n FROM plan_parts WHERE plan_id = %s",
            b"SELECT count(*) AS n FROM plan_items WHERE plan_id = %s",
        ):
            found += [row["n"] for row in conn.execute(query, [plan_id])]
        return found


def test_an_application_that_is_killed_between_write_and_cache_goes_on_to_its_end(shop: Shop) -> None:
    crowded(shop)
    plan = shop.plan(shop.policy(min_margin=MARGIN))
    planned = shop.planned(plan.plan_id)
    task_id = shop.begin(plan.plan_id)
    assert task_id

    class Kills:
        def put(self, stored: Sequence[StoredSheet]) -> None:
            raise Killed

    with pytest.raises(Killed):
        plans.apply(msgspec.structs.replace(shop.services, writer=Kills()), task_id)
    assert shop.view(plan.plan_id).status == "applying"
    later(shop, task_id)
    plans.apply(shop.services, task_id)
    applied = shop.view(plan.plan_id)
    assert (applied.status, applied.redecided) == ("applied", 0)
    assert shop.prices() == planned


def test_a_plan_that_is_killed_in_a_partition_goes_on_and_counts_each_product_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowded(shop)
    made = shop.request(shop.policy(min_margin=MARGIN))
    planned: Any = planning.plan_part
    calls = 0

    def killing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        return planned(*args)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(planning, "plan_part", killing)
        plans.make(shop.services, made.task_id)
    assert shop.view(made.plan_id).status == "running"
    later(shop, made.task_id)
    plans.make(shop.services, made.task_id)
    plan = shop.view(made.plan_id)
    assert (plan.status, (plan.result or {})["products"], (plan.result or {})["rise"]) == ("ready", 2_500, 2_500)
    assert rows(shop, made.plan_id) == [3, 2_500]


def test_an_aborted_plan_shows_nothing(shop: Shop) -> None:
    crowded(shop)
    made = shop.request(shop.policy(min_margin=MARGIN))
    with shop.services.pool.connection() as conn:
        tasks.request_abort(conn, made.task_id)
    plans.make(shop.services, made.task_id)
    assert shop.view(made.plan_id).status == "aborted"
    assert rows(shop, made.plan_id) == [0, 0]
