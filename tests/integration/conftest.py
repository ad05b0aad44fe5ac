"""A migrated catalogue on real servers, and clients of it; each test uses products of its own."""

from collections.abc import Callable, Iterator

import pytest
import redis

from shared.cache import sheets
from shared.commands import demo
from shared.messaging import clients
from shared.postgres import migrations, pools
from shared.postgres.pools import Pool
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration import databases

PROCESS = "tests"


@pytest.fixture(scope="session")
def settings(servers: Settings) -> Settings:
    """Settings of a migrated catalogue with the default policy and the shipped markets."""
    migrations.migrate(servers)
    with pools.connect(servers, PROCESS) as conn:
        rulebook.ensure_default(conn)
        demo.ensure_markets(conn)
    return servers


@pytest.fixture(scope="session")
def pool(settings: Settings) -> Iterator[Pool]:
    """Connections enough for tests that let several writers loose at once."""
    pool = pools.pool(settings, PROCESS, size=8)
    pool.open(wait=True)
    yield pool
    pool.close()


@pytest.fixture
def policy(pool: Pool) -> ActivePolicy:
    """The policy in force: other tests write rulebooks, too."""
    with pool.connection() as conn:
        return rulebook.active_policy(conn)


@pytest.fixture(scope="session")
def cache(settings: Settings) -> Iterator[redis.Redis]:
    """Redis as the workers use it."""
    client = clients.client(settings.redis_for("cache"), PROCESS)
    yield client
    client.close()


@pytest.fixture
def lasting_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks that outlive a test on a slow machine."""
    monkeypatch.setattr(sheets, "MARK_TTL_MS", 600_000)


@pytest.fixture(scope="session")
def template(servers: Settings) -> Iterator[str]:
    """The name of a migrated database without a connection, for copies."""
    with databases.empty(servers) as make:
        made = make()
        migrations.migrate(made)
        yield made.database_url.rpartition("/")[2]


@pytest.fixture(scope="module")
def new_database(servers: Settings) -> Iterator[Callable[[], Settings]]:
    """Makes empty databases on the running server; they are dropped at the end."""
    with databases.empty(servers) as make:
        yield make


@pytest.fixture(scope="module")
def migrated_database(servers: Settings, template: str) -> Iterator[Callable[[], Settings]]:
    """Makes databases with the newest schema on the running server; they are dropped at the end."""
    with databases.migrated(servers, template) as make:
        yield make
