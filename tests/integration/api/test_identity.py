"""The guard of the writes: only the bearer of a known key passes."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from api.edge.identity import requires_key
from shared.access import keys
from shared.errors import DatabaseUnavailable, Unauthorized, translated
from shared.postgres import pools
from shared.postgres.pools import Conn, Pool
from shared.settings import Settings
from tests.support.proxy import proxy_to


class Running:
    """The services that the guard reads: connections to the database."""

    def __init__(self, pool: Pool | None) -> None:
        self._pool = pool

    @contextmanager
    def transaction(self) -> Iterator[Conn]:
        assert self._pool, "the database was asked"
        with translated(), self._pool.connection() as conn:
            yield conn


@pytest.fixture
def key(pool: Pool, tmp_path: Path) -> str:
    """A key that the database knows."""
    with pool.connection() as conn:
        keys.ensure_admin_key(conn, tmp_path)
    return (tmp_path / keys.ADMIN_KEY_FILE).read_text().strip()


def guard(pool: Pool | None, **headers: str) -> None:
    """Pass the guard as a request with these headers."""
    state = SimpleNamespace(services=Running(pool))
    connection = SimpleNamespace(headers=headers, app=SimpleNamespace(state=state))
    asyncio.run(requires_key(cast(Any, connection), cast(Any, None)))


def refused(hint: str) -> AbstractContextManager[object]:
    return pytest.raises(Unauthorized, match=hint)


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER  {} "])
def test_the_bearer_of_a_known_key_passes(pool: Pool, key: str, header: str) -> None:
    guard(pool, authorization=header.format(key))
    with refused("not known"):
        guard(pool, authorization=header.format(f"{key}x"))


def test_a_revoked_key_is_refused_at_once(pool: Pool, key: str) -> None:
    guard(pool, authorization=f"Bearer {key}")
    with pool.connection() as conn:
        conn.execute("UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", [keys._hash(key)])
    with refused("revoked"):
        guard(pool, authorization=f"Bearer {key}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic a2V5", "key", "Bearer\tkey"])
def test_a_request_without_a_bearer_is_refused_before_the_database_is_asked(header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    with refused("`just key` prints one"):
        guard(None, **headers)


def test_without_the_database_nobody_passes_and_the_caller_may_try_again(settings: Settings, key: str) -> None:
    with proxy_to(settings.database_url) as proxy:
        pool = pools.pool(msgspec.structs.replace(settings, database_url=proxy.url()), "tests", size=1)
        with pool:
            guard(pool, authorization=f"Bearer {key}")
            proxy.shut()
            with pytest.raises(DatabaseUnavailable):
                guard(pool, authorization=f"Bearer {key}")
