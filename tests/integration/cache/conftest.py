"""A stored product, and near caches that hold for longer than a test takes."""

import pytest

from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import new_id, product, write


@pytest.fixture
def held_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process holds it holds for longer than a test takes."""
    for name in ("near.MAX_AGE_S", "near.KEEP_S"):
        monkeypatch.setattr(f"shared.cache.{name}", 600.0)


@pytest.fixture
def product_id(pool: Pool, policy: ActivePolicy) -> str:
    product_id = new_id()
    write(pool, policy, product(product_id))
    return product_id
