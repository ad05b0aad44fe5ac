"""Each test breaks something of the stack, and leaves it whole and ready."""

from collections.abc import Iterator

import pytest

from tests.e2e.outages.probes import readiness
from tests.support.engine import Engine
from tests.support.processes import Processes
from tests.support.waiting import eventually


@pytest.fixture
def processes(engine: Engine) -> Processes:
    return Processes(engine.home)


@pytest.fixture(autouse=True)
def whole_again(engine: Engine) -> Iterator[None]:
    """Wait after each test until all of the stack works again."""
    yield
    eventually(lambda: readiness(engine) == (200, "ready"), "the stack is ready again")
