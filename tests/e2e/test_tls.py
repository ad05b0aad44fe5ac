"""TLS on every way: from the caller to the API, and from the engine to PostgreSQL and Redis. `just test-long`."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
import psycopg
import pytest
import redis

from shared.messaging import clients
from shared.postgres import pools
from tests.support import private_stack, tls_servers
from tests.support.private_stack import PrivateStack
from tests.support.tls_servers import Authority, TlsServers

QUERY = {"product_id": "P-100"}

pytestmark = pytest.mark.long


class Stack(NamedTuple):
    """The engine with its servers, the authority that signed for them, and another one."""

    running: PrivateStack
    servers: TlsServers
    known: Authority
    other: Authority


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("tls")
    known, other = tls_servers.authority(folder / "known"), tls_servers.authority(folder / "other")
    with (
        tls_servers.running(known) as servers,
        private_stack.running(
            PRICING_DATABASE_URL=servers.database_url,
            PRICING_REDIS_URL=servers.redis_url,
            PRICING_BROKER_URL=servers.broker_url,
            PRICING_TLS_CERTIFICATE=str(known.certificate),
            PRICING_TLS_KEY=str(known.key),
        ) as running,
    ):
        yield Stack(running, servers, known, other)


def asked(stack: Stack, trusted: Path) -> httpx.Response:
    url = f"https://localhost:{stack.running.engine.settings.port}/api/v1/price"
    with httpx.Client(verify=ssl.create_default_context(cafile=trusted), trust_env=False, timeout=30) as client:
        return client.post(url, json=QUERY)


def test_a_price_is_answered_over_https_only(stack: Stack) -> None:
    assert asked(stack, stack.known.root).json()["product_id"] == "P-100"
    plain = f"http://localhost:{stack.running.engine.settings.port}/api/v1/price"
    with pytest.raises(httpx.HTTPError):
        httpx.post(plain, json=QUERY, trust_env=False, timeout=30)


def test_a_caller_notices_a_certificate_of_another_authority(stack: Stack) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        asked(stack, stack.other.root)


def test_every_connection_of_the_engine_to_postgresql_is_encrypted(stack: Stack) -> None:
    query = (
        "SELECT application_name, bool_and(ssl) AS is_encrypted FROM pg_stat_ssl"
        " JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'pricing-%%' GROUP BY 1"
    )
    found = {row["application_name"]: row["is_encrypted"] for row in stack.running.engine.sql(query)}
    assert {"pricing-api", "pricing-worker", "pricing-listener"} <= set(found)
    assert all(found.values()), found


def test_the_engine_refuses_servers_of_another_authority(stack: Stack) -> None:
    settings = stack.running.engine.settings
    wrong = {
        name: getattr(stack.servers, name).replace(str(stack.known.root), str(stack.other.root))
        for name in ("database_url", "redis_url")
    }
    mistaken = msgspec.structs.replace(settings, **wrong)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        pools.connect(mistaken, "tests")
    with (
        clients.client(mistaken.redis_url, "tests") as client,
        pytest.raises(redis.ConnectionError, match="CERTIFICATE"),
    ):
        client.ping()
