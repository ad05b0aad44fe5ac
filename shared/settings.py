"""Settings: `PRICING_*` variables, read once into a frozen struct and validated at start."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Processes = Annotated[int, msgspec.Meta(ge=1, le=256)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]

STACK_FILE = "stack.env"
TRACE_FOLDER = "traces"


class InvalidSettings(ValueError):
    """A `PRICING_*` variable is unknown or has an invalid value; the text names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"PRICING_{name.upper()}"):
    """The operator's settings. The field `cache_ttl_s` is the variable `PRICING_CACHE_TTL_S`.

    Attributes:
        home: Folder of keys, logs and the native stack's state.
        host: Address that the API listens on.
        redis_url: Redis for all three roles; `cache_url`, `broker_url` and `events_url` split them.
        api_processes: Granian worker processes.
        admin_key: The first API key; empty: it is generated, and stored in `home`.
        feed_url: Market-data feed, read by recalculations; empty: none.
        cache_ttl_s: Lifetime of a sheet in Redis, ± 10 %.
        near_cache_entries: Largest number of sheets in an API process's near cache; 0: none.
        near_cache_bytes: Largest memory of the near cache, estimated.
        trace_read_ratio: Share of price queries that are traced where the caller did not decide.
        trace_write_ratio: The same for all other requests and jobs.
        drain_timeout_s: Time in which a process must end after SIGTERM.
        log_format: `json`, or `console` for people.
    """

    home: str = ".pricing"
    host: str = "127.0.0.1"
    port: Port = 8000
    database_url: str = "postgresql://pricing@127.0.0.1:5432/pricing"
    redis_url: str = "redis://127.0.0.1:6379/0"
    cache_url: str = ""
    broker_url: str = ""
    events_url: str = ""
    api_processes: Processes = 2
    worker_processes: Processes = 2
    worker_threads: Processes = 4
    worker_metrics_port: Port = 9191
    listener_metrics_port: Port = 9192
    feed_url: str = ""
    feed_timeout_s: Seconds = 2.0
    admin_key: str = ""
    cache_ttl_s: Seconds = 3600.0
    near_cache_entries: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 20_000
    near_cache_bytes: Annotated[int, msgspec.Meta(ge=0)] = 64_000_000
    trace_read_ratio: Ratio = 0.01
    trace_write_ratio: Ratio = 1.0
    drain_timeout_s: Annotated[int, msgspec.Meta(ge=1, le=600)] = 15
    log_format: Annotated[str, msgspec.Meta(pattern="^(json|console)$")] = "json"
    log_level: Annotated[str, msgspec.Meta(pattern="^(debug|info|warning|error)$")] = "info"

    @property
    def home_dir(self) -> Path:
        """The home folder, absolute."""
        return Path(self.home).absolute()

    def redis_for(self, role: str) -> str:
        """The Redis URL of a role: `cache`, `broker` or `events`."""
        return str(getattr(self, f"{role}_url")) or self.redis_url


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment, else from the native stack's file, else the defaults.

    The stack's file is `$PRICING_HOME/stack.env`; it lets `just import` and the like find a native stack.

    Raises:
        InvalidSettings: a value is out of range, of the wrong type, or a name is unknown.
    """
    environ = os.environ if environ is None else environ
    home = environ.get("PRICING_HOME", ".pricing")
    values = _stack_values(Path(home) / STACK_FILE) | {k: v for k, v in environ.items() if _is_ours(k)}
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    if unknown := sorted(values.keys() - known):
        raise InvalidSettings(f"{unknown[0]} is not a setting of the pricing engine; known: {', '.join(sorted(known))}")
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidSettings(f"{path.rstrip('`')}: {reason}") from None


def _stack_values(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines) if _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name.startswith("PRICING_") and not name.startswith("PRICING_TEST_")
