"""A primary, a replica and three Sentinels, for failovers."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from deploy import ports
from deploy.native import redis_server
from tests.support.tls_servers import Authority
from tests.support.waiting import eventually

SERVICE, PASSWORD = "prices", "secret-of-the-tests"
_PORT = "port {port}\n"
_TLS_PORT = """port 0
tls-port {port}
tls-replication yes
tls-auth-clients no
tls-ca-cert-file {known.root}
tls-cert-file {known.certificate}
tls-key-file {known.key}
"""
_SERVER = """
bind 127.0.0.1
dir {folder}
save ""
requirepass {password}
masterauth {password}
repl-diskless-sync-delay 0
"""
_SENTINEL = """
bind 127.0.0.1
dir {folder}
sentinel monitor {service} 127.0.0.1 {primary} 2
sentinel auth-pass {service} {password}
sentinel down-after-milliseconds {service} 1000
sentinel failover-timeout {service} 3000
"""


class Failovers:
    """The running servers.

    Attributes:
        url: The address of the primary by way of the Sentinels.
    """

    def __init__(
        self, servers: dict[int, subprocess.Popen[bytes]], sentinels: list[int], known: Authority | None
    ) -> None:
        self.servers, self._sentinels, self._known = servers, sentinels, known
        hosts = ",".join(f"127.0.0.1:{port}" for port in sentinels)
        login = f":{PASSWORD}@{hosts}/{SERVICE}/0"
        self.url = f"rediss+sentinel://{login}?ssl_ca_certs={known.root}" if known else f"redis+sentinel://{login}"

    def primary(self) -> int:
        """The port of the primary, as a Sentinel says."""
        with self._client(self._sentinels[0]) as sentinel:
            found = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(found[1])

    def kill_primary(self) -> int:
        """Kill the primary; its port."""
        port = self.primary()
        self.servers[port].kill()
        self.servers[port].wait()
        return port

    def fail_over(self) -> int:
        """Have the Sentinels demote the primary, which goes on running; its port."""
        port = self.primary()

        def begins() -> bool:
            with self._client(self._sentinels[0]) as sentinel:
                try:
                    sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
                except redis.ResponseError as error:
                    # The Sentinel has not heard of the replica for a moment, as on a busy machine.
                    assert "NOGOODSLAVE" in str(error), error
                    return False
            return True

        eventually(begins, "the failover begins")
        return port

    def are_level(self) -> bool:
        """Whether the replica has all writes of its primary."""
        offsets = set()
        for port in self.servers:
            with self._client(port, PASSWORD) as server:
                offsets.add(server.info("replication")["master_repl_offset"])
        return len(offsets) == 1

    def cut_replica_off(self) -> None:
        """Have the replica lag from now on, until it is promoted: its primary refuses it."""
        primary = self.primary()
        for port in self.servers.keys() - {primary}:
            with self._client(port, PASSWORD) as replica:
                replica.config_set("masterauth", "another")
        with self._client(primary, PASSWORD) as server:
            server.client_kill_filter(_type="slave")

    def bring_back(self, killed: int) -> None:
        """Start a killed server again, and wait until it is a replica and a failover is possible."""
        with self._client(self.primary(), PASSWORD) as primary:
            primary.config_set("masterauth", PASSWORD)
        self.servers[killed] = subprocess.Popen(self.servers[killed].args, stdout=subprocess.DEVNULL)
        eventually(self.is_whole, "the killed server is a replica")

    def clients_of(self, port: int, name: str) -> list[str]:
        """The clients of a server whose name begins so."""
        with self._client(port, PASSWORD) as server:
            return [client["name"] for client in server.client_list() if client["name"].startswith(name)]

    def is_whole(self) -> bool:
        """Whether each Sentinel knows the other two and the replica."""
        for port in self._sentinels:
            with suppress(redis.RedisError), self._client(port) as sentinel:
                [primary] = sentinel.sentinel_masters().values()
                if (primary["num-slaves"], primary["num-other-sentinels"]) == (1, 2) and primary["is_master"]:
                    continue
            return False
        return all(self._is_linked(port) for port in self.servers if port != self.primary())

    def _client(self, port: int, password: str | None = None) -> redis.Redis:
        root = str(self._known.root) if self._known else None
        return redis.Redis(
            port=port,
            password=password,
            socket_timeout=2,
            protocol=2,
            decode_responses=True,
            ssl=root is not None,
            ssl_ca_certs=root,
        )

    def _is_linked(self, port: int) -> bool:
        with suppress(redis.RedisError), self._client(port, PASSWORD) as replica:
            return bool(replica.info("replication").get("master_link_status") == "up")
        return False


@contextmanager
def failovers(folder: Path, known: Authority | None = None) -> Iterator[Failovers]:
    """Start everything, and wait until a failover is possible; stop it after the block. With an authority: over TLS."""
    first, second, *sentinels = (ports.free_port() for _ in range(5))
    started: dict[int, subprocess.Popen[bytes]] = {}
    servers: dict[int, subprocess.Popen[bytes]] = {}

    def start(port: int, config: str, *arguments: str) -> None:
        path = folder / f"{port}.conf"
        values = {"port": port, "folder": folder, "password": PASSWORD, "service": SERVICE, "primary": first}
        path.write_text(((_TLS_PORT if known else _PORT) + config).format(**values, known=known))
        command = [redis_server.command(os.environ)[0], str(path), *arguments]
        with (folder / f"{port}.log").open("w") as log:
            started[port] = subprocess.Popen(command, stdout=log, stderr=log)

    try:
        start(first, _SERVER)
        start(second, f"{_SERVER}replicaof 127.0.0.1 {first}\n")
        for port in sentinels:
            start(port, _SENTINEL, "--sentinel")
        servers |= {port: started[port] for port in (first, second)}
        running = Failovers(servers, sentinels, known)
        eventually(running.is_whole, "the Sentinels know each other and the replica", 60)
        yield running
    finally:
        for process in (started | servers).values():
            process.kill()
            process.wait()
