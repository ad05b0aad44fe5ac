"""Settings: `PRICING_*` variables, read once into a frozen struct and validated at start."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from shared import addresses, secrets
from shared.wording import meant, worded

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Processes = Annotated[int, msgspec.Meta(ge=1, le=256)]
Rate = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]

STACK_FILE = "stack.env"
TRACE_FOLDER = "traces"
MAX_WORKER_THREADS = 1024


class InvalidSettings(ValueError):
    """A `PRICING_*` variable is unknown or has an invalid value; the text names the variable and hides its value."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"PRICING_{name.upper()}"):
    """The operator's settings. The field `cache_ttl_s` is the variable `PRICING_CACHE_TTL_S`.

    Attributes:
        home: Folder of keys, logs and the native stack's state.
        host: IP address that the API listens on.
        tls_certificate: PEM file with the API's certificate chain; empty: the API speaks plain HTTP.
        tls_key: PEM file with its private key.
        database_url: PostgreSQL, as libpq reads it: a URL or key=value pairs, of one host or several.
        database_pooler: `transaction`: `database_url` is a pooler in transaction mode, such as PgBouncer.
        database_direct_url: PostgreSQL past the pooler, for migrations, commands and backups; empty: `database_url`.
        redis_url: Redis for all three roles, the broker in the database after it; `cache_url`, `broker_url` and
            `events_url` split them. Only the cache may be a cluster.
        api_processes: Granian worker processes.
        admin_key: The first API key; empty: it is generated, and stored in `home`.
        cors_origins: The origins whose pages may use the API, with commas between them; `*`: any; empty: none.
        require_read_key: Whether price queries need a key.
        require_metrics_key: Whether the API's metrics need a key.
        trust_callers: Whether price queries may name customers, groups, attributes, instants and offers without a key.
        offer_keys: Keys of offers, with commas between them; the first one signs, all verify; empty: no offers.
        audit_days: How long the audit log keeps its entries, rounded up to whole months.
        events_days: How long ended market events, and their identities, are kept.
        tasks_days: How long ended jobs are kept.
        plan_days: How long plans are kept; their items are dropped by whole months.
        history_days: How long the price history goes back; its rows are dropped by whole months.
        changes_days: How long the log of changes goes back, rounded up to whole months.
        four_eyes: Whether another key than the author's must apply a plan, and approve a hold.
        feed_url: Market-data feed, read by recalculations; empty: none.
        feed_key: Sent to the feed as a bearer token; empty: none.
        feed_every_s: A recalculation of everything reads the feed so often, in seconds; 0: on request only.
        cache_ttl_s: Lifetime of a sheet in Redis, ± 10 %.
        near_cache_entries: Largest number of sheets in an API process's near cache; 0: none.
        near_cache_bytes: Largest memory of the near cache, estimated.
        trace_read_ratio: Share of price queries that are traced where the caller did not decide.
        trace_reads_per_s: The largest number of them in a second and API process.
        trace_write_ratio: The share for all other requests and jobs.
        max_requests: Requests under way in an API process, of each kind: prices, reads, writes.
        max_streams: Open streams of changes in an API process.
        stream_timeout_s: Time in which a client must take something of a stream, where there is something to take.
        webhook_networks: Addresses and networks that webhooks may call although they are not public.
        writes_per_s: Writes of one key a second, over all processes; 0: without a limit.
        lists_per_s: The same for reads below `/api`, of one key, or of one address without a key.
        failed_keys_per_s: The same for requests of one address with a key that is not known.
        limit_loopback: Whether callers on the same machine are limited.
        trusted_proxies: Addresses and networks of proxies, whose `Forwarded` and `X-Forwarded-For` count.
        idle_timeout_s: Time in which a caller must send a request's header; an idle connection is closed after it.
        body_timeout_s: Time in which a caller must send a body, beside a second for each 50 kB.
        drain_timeout_s: Time in which a process must end after SIGTERM.
        log_format: `json`, or `console` for people.
    """

    home: str = ".pricing"
    host: str = "127.0.0.1"
    port: Port = 8000
    tls_certificate: str = ""
    tls_key: str = ""
    database_url: str = "postgresql://pricing@127.0.0.1:5432/pricing"
    database_pooler: Annotated[str, msgspec.Meta(pattern="^(none|transaction)$")] = "none"
    database_direct_url: str = ""
    redis_url: str = "redis://127.0.0.1:6379/0"
    cache_url: str = ""
    broker_url: str = ""
    events_url: str = ""
    api_processes: Processes = 2
    worker_processes: Processes = 2
    worker_threads: Processes = 4
    worker_metrics_port: Port = 9191
    listener_metrics_port: Port = 9192
    cors_origins: str = ""
    feed_url: str = ""
    feed_key: str = ""
    feed_every_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    # Half of a worker's lease: the other half is for the decisions and their writes.
    feed_timeout_s: Annotated[float, msgspec.Meta(ge=0.05, le=6)] = 2.0
    admin_key: str = ""
    require_read_key: bool = False
    require_metrics_key: bool = False
    trust_callers: bool = False
    offer_keys: str = ""
    audit_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 400
    history_days: Annotated[int, msgspec.Meta(ge=31, le=36_500)] = 400
    changes_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 30
    events_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 400
    tasks_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 400
    plan_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 90
    four_eyes: bool = False
    cache_ttl_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 3600.0
    near_cache_entries: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 20_000
    near_cache_bytes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000_000)] = 64_000_000
    trace_read_ratio: Ratio = 0.01
    trace_reads_per_s: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 20
    trace_write_ratio: Ratio = 1.0
    max_requests: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 256
    max_streams: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 1_000
    stream_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=600)] = 30.0
    webhook_networks: str = ""
    writes_per_s: Rate = 500
    lists_per_s: Rate = 50
    failed_keys_per_s: Rate = 2
    limit_loopback: bool = False
    trusted_proxies: str = ""
    idle_timeout_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 30
    body_timeout_s: Annotated[float, msgspec.Meta(ge=0.5, le=600)] = 10.0
    drain_timeout_s: Annotated[int, msgspec.Meta(ge=1, le=600)] = 15
    log_format: Annotated[str, msgspec.Meta(pattern="^(json|console)$")] = "json"
    log_level: Annotated[str, msgspec.Meta(pattern="^(debug|info|warning|error)$")] = "info"

    @property
    def scheme(self) -> str:
        """The scheme of the API's address: `http` or `https`."""
        return "https" if self.tls_certificate else "http"

    @property
    def home_dir(self) -> Path:
        """The home folder, absolute."""
        return Path(self.home).absolute()

    @property
    def is_pooled(self) -> bool:
        """Whether a pooler in transaction mode is between the processes and PostgreSQL."""
        return self.database_pooler == "transaction"

    @property
    def direct_url(self) -> str:
        """PostgreSQL's own address, for migrations, commands and backups."""
        return self.database_direct_url or self.database_url

    def redis_for(self, role: str) -> str:
        """The Redis URL of a role: `cache`, `broker` or `events`; the broker's default is the next database."""
        if given := str(getattr(self, f"{role}_url")):
            return given
        return addresses.next_database(self.redis_url) if role == "broker" else self.redis_url

    @property
    def broker_shares_database(self) -> bool:
        """Whether the queues are in the database of the sheets, which somebody may flush, and fill."""
        return addresses.database_of(self.redis_for("broker")) == addresses.database_of(self.redis_for("cache"))

    def shown(self) -> dict[str, Any]:
        """Variable → value for people and logs: without keys, passwords and users."""
        fields = msgspec.structs.fields(self)
        return {field.encode_name: _shown(field.name, getattr(self, field.name)) for field in fields}

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # rich prints a Struct by this method, not by `__repr__`.
        return list(self.shown().items())


class Source(NamedTuple):
    """A variable's text, and its origin: `environment` or `stack.env`."""

    text: str
    origin: str


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment, else from the native stack's file, else the defaults.

    The stack's file is `$PRICING_HOME/stack.env`; it lets `just import` and the like find a native stack.

    Raises:
        InvalidSettings: a value is out of range, of the wrong type, or a name is unknown.
    """
    values = {name: source.text for name, source in sources(environ).items()}
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    if unknown := sorted(values.keys() - known):
        hint = meant(unknown[0], known) or ";"
        raise InvalidSettings(
            f"{unknown[0]} is not a setting of the pricing engine{hint} known: {', '.join(sorted(known))}"
        )
    for name in ("PRICING_LOG_LEVEL", "PRICING_LOG_FORMAT"):
        if name in values:
            values[name] = values[name].lower()
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidSettings(f"{path.rstrip('`')}: {worded(reason)}") from None
    _check(settings)
    return settings


def sources(environ: Mapping[str, str] | None = None) -> dict[str, Source]:
    """Variable → its text and origin, for the variables that are set; the environment comes first."""
    environ = os.environ if environ is None else environ
    home = environ.get("PRICING_HOME") or Settings().home
    stack = _stack_values(Path(home) / STACK_FILE)
    found = {name: Source(text, STACK_FILE) for name, text in stack.items() if is_ours(name, text)}
    given = {name: Source(text, "environment") for name, text in environ.items() if is_ours(name, text)}
    return found | given


def is_ours(name: str, text: str) -> bool:
    """Whether a variable is a setting.

    Kubernetes adds variables to its containers for a Service named `pricing` or `pricing-…`. These are not settings:
    `PRICING_SERVICE_HOST`, `PRICING_PORT=tcp://…`, `PRICING_PORT_8000_TCP_ADDR`.
    """
    if not name.startswith("PRICING_") or name.startswith("PRICING_TEST_") or (name, text) == ("PRICING_HOME", ""):
        return False
    is_address = name.endswith("_PORT") and text.startswith(("tcp://", "udp://", "sctp://"))
    return not is_address and not _SERVICE_VARIABLE(name)


def _check(settings: Settings) -> None:
    """Raise InvalidSettings for a value that has the right type and still cannot be used."""
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        if field.name in _CHECKS and (value or field.default):
            try:
                _CHECKS[field.name](value)
            except ValueError as error:
                raise InvalidSettings(f"{field.encode_name}: {error}") from None
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise InvalidSettings("PRICING_TLS_CERTIFICATE: and PRICING_TLS_KEY belong together: set both or none")
    if settings.feed_every_s and not settings.feed_url:
        raise InvalidSettings("PRICING_FEED_EVERY_S: needs PRICING_FEED_URL, the address of the feed")
    if settings.worker_processes * settings.worker_threads > MAX_WORKER_THREADS:
        raise InvalidSettings(
            "PRICING_WORKER_THREADS: times PRICING_WORKER_PROCESSES must be at most "
            f"{MAX_WORKER_THREADS}: each thread can take a connection to PostgreSQL"
        )


def _shown(name: str, value: Any) -> Any:
    if not value or name not in {*_SECRETS, *_URLS}:
        return value
    return addresses.HIDDEN if name in _SECRETS else addresses.masked(value)


def _stack_values(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


# https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
_SERVICE_VARIABLE = re.compile(
    r".+_SERVICE_(HOST|PORT(_.+)?)|.+_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
).fullmatch

# 32 bytes, as base64url without padding.

_SECRETS = {"admin_key": secrets.check_key, "feed_key": secrets.check_header, "offer_keys": secrets.check_offer_keys}
_URLS = {
    "database_url": addresses.check_database,
    "database_direct_url": addresses.check_database,
    "redis_url": addresses.check_primary,
    "cache_url": addresses.check_redis,
    "broker_url": addresses.check_primary,
    "events_url": addresses.check_primary,
    "feed_url": addresses.check_http,
}
_CHECKS = {
    **_URLS,
    **_SECRETS,
    "host": addresses.check_ip,
    "cors_origins": addresses.check_origins,
    "trusted_proxies": addresses.networks,
    "webhook_networks": addresses.networks,
    "tls_certificate": secrets.check_file,
    "tls_key": secrets.check_file,
}
