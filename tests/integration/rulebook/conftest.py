"""A database with the neutral rulebook and nothing else."""

from collections.abc import Callable, Iterator

import pytest

from shared.postgres import pools
from shared.postgres.pools import Conn
from shared.rulebook import store
from shared.settings import Settings


@pytest.fixture
def own_settings(migrated_database: Callable[[], Settings]) -> Settings:
    """Settings of a migrated database."""
    settings = migrated_database()
    with pools.connect(settings, "tests") as conn:
        store.ensure_default(conn)
    return settings


@pytest.fixture
def conn(own_settings: Settings) -> Iterator[Conn]:
    """A connection to it."""
    with pools.connect(own_settings, "tests") as conn:
        yield conn
