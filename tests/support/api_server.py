"""The API alone: `python -m api` on servers that run already."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from deploy import ports
from shared.access import keys
from shared.postgres import pools
from shared.secrets import ADMIN_KEY_FILE
from shared.settings import Settings
from tests.support.waiting import eventually

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ApiServer:
    """A running API.

    Attributes:
        process: Its main process.
        key: A key with all rights.
    """

    process: subprocess.Popen[bytes]
    port: int
    key: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def authorized(self) -> dict[str, str]:
        """The header of a write."""
        return {"authorization": f"Bearer {self.key}"}

    def answers(self) -> bool:
        """Whether it is alive."""
        try:
            return httpx.get(f"{self.url}/health/live", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def serving(settings: Settings, home: Path, **chosen: object) -> Iterator[ApiServer]:
    """Start the API on migrated servers, with settings of its own; end it after the block."""
    port = ports.free_port()
    values = {field.encode_name: getattr(settings, field.name) for field in msgspec.structs.fields(settings)}
    values |= {"PRICING_HOME": home, "PRICING_PORT": port, "PRICING_API_PROCESSES": 1} | chosen
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    env |= {name: str(value) for name, value in values.items()}
    with pools.connect(settings, "tests") as conn:
        keys.ensure_admin_key(conn, home)
    process = subprocess.Popen([sys.executable, "-m", "api"], cwd=REPOSITORY, env=env)
    try:
        server = ApiServer(process, port, (home / ADMIN_KEY_FILE).read_text().strip())
        eventually(server.answers, "the API answers", deadline_s=180)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            # Its workers end with it.
            process.kill()
            process.wait()
