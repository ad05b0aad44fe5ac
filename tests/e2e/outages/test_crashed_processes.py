"""A crashed process is replaced, and the stack serves on."""

from contextlib import suppress

import psutil
import pytest

from tests.e2e.outages.probes import an_event, is_applied, is_served, price
from tests.support.engine import Engine
from tests.support.processes import Processes, is_alive
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("program", "member"),
    [
        pytest.param("api", 0, id="api-master"),
        pytest.param("api", 1, id="api-worker"),
        pytest.param("worker", 0, id="worker-master"),
        pytest.param("worker", 1, id="worker-process"),
        pytest.param("worker", -1, id="worker-metrics"),
        pytest.param("listener", 0, id="listener"),
        pytest.param("redis", 0, id="redis"),
        pytest.param("postgres", 0, id="postgres"),
    ],
)
def test_a_killed_process_comes_back_and_the_stack_serves_on(
    engine: Engine, processes: Processes, program: str, member: int
) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    assert price(engine, product_id).json()["final_price"] == "100.00"
    family = processes.family(program)
    family[member].kill()

    # Without its master no process of a group stays; without a member the group is made whole.
    gone = family if member == 0 else [family[member]]
    eventually(lambda: not any(map(is_alive, gone)), "the killed ones are gone")
    if program != "postgres":  # whose number of processes is that of its connections
        eventually(lambda: processes.runs(program, len(family)), f"{program} is whole again", 30)
    is_served(engine, product_id, "100.00")
    is_applied(engine, an_event(product_id))
    is_served(engine, product_id, "95.00")
    eventually(lambda: not processes.strays(), "no process is left without its master")


def test_a_worker_that_is_killed_while_it_starts_is_replaced(engine: Engine, processes: Processes) -> None:
    family = processes.family("worker")
    family[0].kill()

    def starting() -> list[psutil.Process] | None:
        with suppress(psutil.NoSuchProcess):
            found = processes.family("worker")
            return found if len(found) == len(family) and found[0] != family[0] else None
        return None

    # Its workers are there, and have not yet imported what they run.
    victim = eventually(starting, "the next one's workers")[1]
    victim.kill()
    eventually(lambda: not is_alive(victim), "the killed one is gone")
    eventually(lambda: processes.runs("worker", len(family)), "worker is whole again", 20)
    product_id = str(engine.put_product(strategy="match")["product_id"])
    is_applied(engine, an_event(product_id))
