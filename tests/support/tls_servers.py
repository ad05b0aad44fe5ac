"""PostgreSQL and Redis of the system that speak TLS only, with certificates of an authority of the test's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from deploy import ports
from tests.support.prerequisites import need
from tests.support.waiting import eventually

PASSWORD = "tls-test"  # of servers that live as long as the test
# PostgreSQL refuses to run as root; its files then belong to an ordinary user of a namespace.
UNSHARE = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--") if os.geteuid() == 0 else ()
DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder, which signs for `localhost`.

    Attributes:
        root: Its own certificate.
        certificate: The one of the servers.
        key: The private key of the servers.
    """

    root: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class TlsServers:
    """The addresses of the servers, by which a client checks their certificates."""

    database_url: str
    redis_url: str
    broker_url: str


def authority(folder: Path) -> Authority:
    """Make an authority, and one certificate for all servers."""
    folder.mkdir(mode=0o700)
    made = Authority(folder / "root.pem", folder / "server.pem", folder / "server.key")
    request, root_key, names = folder / "server.csr", folder / "root.key", folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch")
    _openssl(*new, "-x509", "-subj", "/CN=test authority", "-days", "2", "-keyout", root_key, "-out", made.root)
    _openssl(*new, "-subj", "/CN=localhost", "-keyout", made.key, "-out", request)
    signed = ("-CA", made.root, "-CAkey", root_key, "-CAcreateserial", "-days", "2", "-extfile", names)
    _openssl("x509", "-req", "-in", request, *signed, "-out", made.certificate)
    made.key.chmod(0o600)
    return made


@contextmanager
def running(known: Authority) -> Iterator[TlsServers]:
    """Start both servers; stop them and remove their data after the block."""
    binaries = sorted(DEBIAN.glob("*/bin/initdb"))
    has_both = bool(binaries) and shutil.which("redis-server") and shutil.which("openssl")
    need("tls", has_both, "apt install postgresql redis-server openssl")
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="tls-"))).resolve()
        database = undo.enter_context(_postgres(folder, binaries[-1].parent, known))
        port = undo.enter_context(_redis(folder, known))
        cache, broker = (
            f"rediss://:{PASSWORD}@localhost:{port}/{number}?ssl_ca_certs={known.root}" for number in (0, 1)
        )
        with redis.Redis.from_url(cache) as client:
            eventually(lambda: _answers(client.ping, redis.ConnectionError), "Redis answers")
        yield TlsServers(database, cache, broker)


@contextmanager
def _postgres(folder: Path, binaries: Path, known: Authority) -> Iterator[str]:
    data, port, password = folder / "data", ports.free_port(), folder / "password"
    password.write_text(PASSWORD)
    options = ("--username=pricing", "--auth=scram-sha-256", "--pwfile", str(password), "--encoding=UTF8")
    subprocess.run([*UNSHARE, str(binaries / "initdb"), "-D", str(data), *options], check=True, capture_output=True)
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": str(known.certificate),
        "ssl_key_file": str(known.key),
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with _process([*UNSHARE, str(binaries / "postgres"), "-D", str(data), *arguments], folder / "postgres.log"):
        url = f"postgresql://pricing:{PASSWORD}@localhost:{port}"
        checked = f"sslmode=verify-full&sslrootcert={known.root}"
        eventually(lambda: _creates(f"{url}/postgres?{checked}"), "PostgreSQL answers")
        yield f"{url}/pricing?{checked}"


@contextmanager
def _redis(folder: Path, known: Authority) -> Iterator[int]:
    port = ports.free_port()
    settings: dict[str, object] = {
        "bind": "127.0.0.1",
        "port": 0,
        "tls-port": port,
        "tls-cert-file": known.certificate,
        "tls-key-file": known.key,
        "tls-ca-cert-file": known.root,
        "tls-auth-clients": "no",
        "requirepass": PASSWORD,
        "save": '""',
    }
    (folder / "redis.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    with _process(["redis-server", str(folder / "redis.conf")], folder / "redis.log"):
        yield port


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def _creates(url: str) -> bool:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as conn:
            conn.execute("CREATE DATABASE pricing")
    except psycopg.OperationalError:
        return False
    return True


def _answers(ask: object, error: type[Exception]) -> bool:
    try:
        ask()  # type: ignore[operator] # a bound method of redis-py
    except error:
        return False
    return True


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
