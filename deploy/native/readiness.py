"""The readiness of the programs: the probes that `up` repeats until all is well."""

import httpx
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.native import postgres_roles, programs
from deploy.native.state import State
from shared.settings import Settings


def why_not_ready(name: str, state: State, settings: Settings) -> str | None:
    """The reason why a program is not ready; None once it is. Creates the role and the database `pricing`."""
    if name == "postgres":
        return _postgres(state)
    if name == "redis":
        return _redis(state)
    return _http(f"{programs.address(name, state, settings).removesuffix('/metrics')}/health/ready")


def _postgres(state: State) -> str | None:
    try:
        postgres_roles.ensure(state)
    except psycopg.Error as error:
        return str(error).strip()
    return None


def _redis(state: State) -> str | None:
    try:
        with redis.Redis(
            host="127.0.0.1",
            port=state.redis_port,
            password=state.redis_password,
            socket_timeout=2,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return str(error)
    return None


def _http(url: str) -> str | None:
    try:
        # Our own process on our own address: its certificate is for the name that callers use.
        answer = httpx.get(url, timeout=5, trust_env=False, verify=False)  # noqa: S501
    except httpx.HTTPError as error:
        return f"{url}: {error}"
    return None if answer.status_code == 200 else f"{url}: {answer.status_code} {answer.text[:300]}"
