"""What every test of the running stack leaves behind: nothing that still runs."""

from collections.abc import Iterator

import pytest

from tests.support.engine import Engine
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def calm(engine: Engine) -> Iterator[None]:
    """Wait until no background job is left, so that a test's own ones do not meet those of the test before."""
    yield
    unended = "SELECT task_id FROM tasks WHERE status IN ('queued', 'running')"
    eventually(lambda: not engine.sql(unended), "no background job left")
