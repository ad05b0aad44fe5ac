"""The stack that the user runs, native or in containers: where it is, and what its logs say."""

import os
from dataclasses import dataclass
from pathlib import Path

import click
import httpx
import redis

from deploy import home as pricing_home
from deploy.compose import command
from deploy.running import running
from shared import settings
from shared.settings import InvalidSettings, Settings

# The scan ends at the server, so that a password never stands in a command line.
_FORGET = "redis-cli --scan --pattern '{pattern}' | xargs -r redis-cli unlink"


class NotRunning(click.ClickException):
    """There is no stack to ask; exit code 3."""

    exit_code = 3


@dataclass(frozen=True)
class RunningStack:
    """A stack that answers.

    Attributes:
        kind: `native`, `docker`, `private`, or `other` where processes were started by hand.
        url: Where its API answers.
    """

    kind: str
    home: Path
    url: str
    settings: Settings

    @property
    def key_file(self) -> Path:
        """The admin key."""
        return self.home / "admin.key"

    @property
    def authorized(self) -> dict[str, str]:
        """The header with the admin key; none where the key is not here."""
        return {"authorization": f"Bearer {self.key_file.read_text().strip()}"} if self.key_file.exists() else {}

    def log(self, service: str) -> list[str] | None:
        """The lines of a service's log: api, worker or listener; None where they are not known."""
        if self.kind == "docker":
            return command.run("logs", "--no-color", service, capture=True).splitlines()
        path = pricing_home.log_file(self.home, service)
        return path.read_text(errors="replace").splitlines() if path.exists() else None

    def forget(self, prefix: str) -> None:
        """Drop the sheets of all products of this prefix from Redis, as an eviction would."""
        pattern = f"pricing:sheet:{prefix}*"
        if self.kind == "docker":
            command.run("exec", "-T", "redis", "sh", "-c", _FORGET.format(pattern=pattern), capture=True)
            return
        with redis.Redis.from_url(self.settings.redis_for("cache")) as client:
            for keys in _batches(list(client.scan_iter(pattern, count=1_000))):
                client.unlink(*keys)


def home() -> Path:
    """The PRICING_HOME of this environment."""
    return pricing_home.locate(os.environ)


def find() -> RunningStack:
    """The stack of this environment's PRICING_HOME, else the one in containers.

    Raises:
        NotRunning: there is none, or its API does not answer.
    """
    kind = next(iter(running()), "other")
    try:
        known = settings.load()
    except InvalidSettings as error:
        raise NotRunning(str(error)) from None
    port = int(os.environ.get("PRICING_PORT", "8000")) if kind == "docker" else known.port
    # Where it listens on all addresses, and where a container publishes its port, loopback is one of them.
    host = "127.0.0.1" if kind == "docker" or known.host in ("0.0.0.0", "::") else known.host
    url = f"http://{host}:{port}"
    try:
        httpx.get(f"{url}/health/live", timeout=10, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise NotRunning(f"No stack answers at {url} ({error}): start it with `just up`.") from None
    return RunningStack(kind, home(), url, known)


def _batches(keys: list[bytes], size: int = 500) -> list[list[bytes]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]
