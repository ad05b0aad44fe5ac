"""All cases, in the order in which they play."""

from tests.chaos import (
    aborted,
    accidents,
    api_killed,
    hot_product,
    listener_faults,
    plan_killed,
    poison,
    postgres_away,
    postgres_refuses,
    redis_lost,
    redis_refuses,
    reply_lost,
    restored_database,
    run_holder,
    slow_callers,
    terminated,
    worker_killed,
    writer_killed,
)
from tests.chaos.case import Case

ALL: tuple[Case, ...] = (
    *worker_killed.CASES,
    *run_holder.CASES,
    *redis_lost.CASES,
    *redis_refuses.CASES,
    *reply_lost.CASES,
    *writer_killed.CASES,
    *listener_faults.CASES,
    *hot_product.CASES,
    *postgres_away.CASES,
    *postgres_refuses.CASES,
    *restored_database.CASES,
    *api_killed.CASES,
    *aborted.CASES,
    *poison.CASES,
    *terminated.CASES,
    *slow_callers.CASES,
    *plan_killed.CASES,
    *accidents.CASES,
)
