"""What every bad request leaves behind: an engine that goes on pricing."""

from collections.abc import Iterator

import pytest

from tests.support.engine import Engine


@pytest.fixture(autouse=True)
def still_serves(engine: Engine) -> Iterator[None]:
    """The engine prices a query after each test."""
    yield
    assert engine.price("P-100")["final_price"]
