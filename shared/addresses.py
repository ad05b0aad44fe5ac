"""Addresses in the settings: their checks, by the rules of the drivers, and their text without secrets."""

import ipaddress
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import redis
import redis.connection
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

HIDDEN = "***"
SENTINEL_PORT, REDIS_PORT = 26379, 6379
POSTGRES_SCHEMES = ("postgresql://", "postgres://")
# Of several hosts the one that takes writes; a standby, or a primary that was demoted, is no server of the engine.
PRIMARY = "read-write"


def check_database(text: str) -> None:
    """Raise ValueError unless libpq reads the text: a URL, or key=value pairs, of one host or several."""
    try:
        known = conninfo_to_dict(text)
    except ProgrammingError:
        # libpq's own message may contain the password.
        known = {}
    if not known:
        raise ValueError("must be an address such as postgresql://user:password@host:5432/database")
    if known.get("target_session_attrs") not in (None, "any", "read-write", "primary"):
        raise ValueError("must lead to the primary: leave target_session_attrs out, or use read-write")
    for port in str(known.get("port", "")).split(","):
        if port and not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise ValueError(
                "has a port that is not a number from 1 to 65535; encode / : @ % in a password as %2F %3A %40 %25"
            )


def check_redis(text: str) -> None:
    """Raise ValueError unless redis-py can connect to it: redis://, rediss:// or unix://."""
    try:
        _check_characters(text)
        if sentinels_of(text) or cluster_of(text):
            return
        parts = urlsplit(text)
        is_socket = parts.scheme == "unix"
        is_whole = bool(parts.path if is_socket else parts.hostname and _is_port(parts.port))
        # redis-py uses database 0 for any other path.
        if is_whole and (is_socket or re.fullmatch(r"(/[0-9]*)?", parts.path)):
            redis.ConnectionPool.from_url(text).make_connection()  # does not connect yet
            return
    except (ValueError, TypeError, ImportError):
        pass
    raise ValueError(
        "must be an address such as redis://:password@host:6379/0, rediss://…, unix:///path, "
        "redis+sentinel://:password@host1:26379,host2:26379/name/0 "
        "or, for the cache, redis+cluster://:password@host1:6379,host2:6379"
    )


def check_primary(text: str) -> None:
    """As `check_redis`, and raise ValueError for a cluster, which serves the cache only."""
    check_redis(text)
    if cluster_of(text):
        raise ValueError(
            "cannot be a cluster, which serves the cache only: set PRICING_CACHE_URL to the cluster, and this one "
            "to a single primary or its Sentinels"
        )


class Hosts(NamedTuple):
    """The servers of an address that names several: `redis+KIND://user:password@host1:port,host2/path?query`.

    Attributes:
        tls: Options of TLS, as redis-py names them, where the scheme is `rediss+KIND://`; None: without TLS.
    """

    pairs: list[tuple[str, int]]
    username: str
    password: str
    tls: dict[str, Any] | None

    def login(self) -> dict[str, Any]:
        """User and password, as redis-py names them."""
        return {"username": self.username or None, "password": self.password or None}

    def client_tls(self) -> dict[str, Any]:
        """What redis-py's clients, in contrast to its connections, need for TLS."""
        return {} if self.tls is None else {"ssl": True, **self.tls}


class Sentinels(NamedTuple):
    """A primary behind Sentinel: `redis+sentinel://user:password@host1:26379,host2/service/0`.

    Attributes:
        hosts: The Sentinels, and the login of the primary.
        service: Sentinel's name of the primary.
        sentinel_password: Of the Sentinels themselves: `?sentinel_password=…`.
    """

    hosts: Hosts
    service: str
    database: int
    sentinel_password: str


def sentinels_of(text: str) -> Sentinels | None:
    """The Sentinels of an address; None where it leads elsewhere.

    Raises:
        ValueError: the address of Sentinels is not whole.
    """
    hosts = _hosts(text, "sentinel", SENTINEL_PORT, {"sentinel_password"})
    if hosts is None:
        return None
    parts = urlsplit(text)
    found = re.fullmatch(r"/([^/]+)(?:/([0-9]+))?", parts.path)
    if not found:
        raise ValueError
    return Sentinels(hosts, found[1], int(found[2] or 0), dict(parse_qsl(parts.query)).get("sentinel_password", ""))


def cluster_of(text: str) -> Hosts | None:
    """The first nodes of a cluster, `redis+cluster://user:password@host1:6379,host2`; None where it leads elsewhere.

    Raises:
        ValueError: the address of the cluster is not whole, or names a database: a cluster has one.
    """
    hosts = _hosts(text, "cluster", REDIS_PORT, set())
    if hosts is not None and urlsplit(text).path not in {"", "/", "/0"}:
        raise ValueError
    return hosts


def _hosts(text: str, kind: str, default_port: int, names: set[str]) -> Hosts | None:
    scheme = re.match(rf"(rediss?)\+{kind}://", text)
    if not scheme:
        return None
    parts = urlsplit(text)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    found = [re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+)(?::([0-9]+))?", host) for host in hosts.split(",")]
    pairs = [(host[1].strip("[]"), int(host[2] or default_port)) for host in found if host]
    query = dict(parse_qsl(parts.query))
    tls_query = {name: value for name, value in query.items() if name.startswith("ssl_")}
    is_tls = scheme[1] == "rediss"
    is_known = query.keys() <= names | (tls_query.keys() if is_tls else set())
    if not is_known or len(pairs) < len(found) or not all(1 <= port <= 65535 for _, port in pairs):
        raise ValueError
    tls: dict[str, Any] | None = None
    if is_tls:
        options = redis.connection.parse_url(f"rediss://tls?{urlencode(tls_query)}")  # type: ignore[no-untyped-call] # redis-py has no types here
        tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
        redis.SSLConnection(**tls)  # does not connect; raises for an unknown option
    return Hosts(pairs, unquote(user), unquote(password), tls)


def check_http(text: str) -> None:
    """Raise ValueError unless the text is an HTTP address with a host."""
    try:
        _check_characters(text)
        parts = urlsplit(text)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and _is_port(parts.port)
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError("must be an address such as https://feed.example.com/quotes")


def check_origins(text: str) -> None:
    """Raise ValueError unless the text is `*`, or origins as browsers send them, with commas between them."""
    for origin in text.split(","):
        if text != "*" and not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?", origin.strip()):
            raise ValueError("must be *, or origins in small letters such as https://shop.example.com, with commas")


def check_ip(text: str) -> None:
    """Raise ValueError unless a server can listen on the address."""
    try:
        ipaddress.ip_address(text)
        _check_characters(text, more="%")
    except ValueError:
        raise ValueError("must be an IP address such as 127.0.0.1 or 0.0.0.0; names are not looked up") from None


def networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks of a list with commas; an address is a network of one.

    Raises:
        ValueError: a part is neither.
    """
    try:
        return [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError("must be IP addresses and networks such as 10.0.0.5, 172.16.0.0/12, with commas") from None


def masked(text: str) -> str:
    """The address without user, password and other secrets; `***` where it cannot be read."""
    if "://" in text:
        text = re.sub(r"://.*@", f"://{HIDDEN}@", text, flags=re.DOTALL)
        return re.sub(
            r"([?&][^=&]*(?:%|pass|secret|token|key|auth|user)[^=&]*=)[^&]*", rf"\1{HIDDEN}", text, flags=re.IGNORECASE
        )
    try:
        known = conninfo_to_dict(text)
    except ProgrammingError:
        return HIDDEN
    return make_conninfo("", **{name: HIDDEN if "pass" in name else value for name, value in known.items()})


def _is_port(port: int | None) -> bool:
    return port is None or port >= 1


def _check_characters(text: str, more: str = "") -> None:
    if not text.isprintable() or any(c in text for c in f" {more}"):
        raise ValueError


def database_of(redis_url: str) -> tuple[str, int]:
    """The server of a Redis address, and the number of its database."""
    if known := sentinels_of(redis_url):
        return f"{known.hosts.pairs[0]}/{known.service}", known.database
    if nodes := cluster_of(redis_url):
        return str(nodes.pairs[0]), 0
    options = redis.ConnectionPool.from_url(redis_url).connection_kwargs
    server = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return server, int(options.get("db") or 0)


def next_database(redis_url: str) -> str:
    """The same address with the next database of its server."""
    number = database_of(redis_url)[1] + 1
    address, _, text = redis_url.partition("?")
    query = dict(parse_qsl(text))
    if known := sentinels_of(redis_url):
        return urlunsplit(urlsplit(redis_url)._replace(path=f"/{known.service}/{number}"))
    if not redis_url.startswith("unix:") and "db" not in query:
        return urlunsplit(urlsplit(redis_url)._replace(path=f"/{number}"))
    return f"{address}?{urlencode(query | {'db': str(number)})}"
