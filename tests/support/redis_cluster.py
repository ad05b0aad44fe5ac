"""A Redis Cluster of three primaries with a replica each, on this machine."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from deploy import ports
from deploy.native import redis_server
from tests.support.waiting import eventually

PASSWORD = "secret-of-the-tests"
PRIMARIES, SLOTS = 3, 16_384
_SERVER = """
port {port}
cluster-port {bus_port}
bind 127.0.0.1
dir {folder}
save ""
requirepass {password}
masterauth {password}
cluster-enabled yes
cluster-config-file {port}.nodes
cluster-node-timeout 1000
cluster-require-full-coverage no
repl-diskless-sync-delay 0
"""


class RedisCluster:
    """The running servers.

    Attributes:
        url: The address of the cluster.
        servers: Port → process.
    """

    def __init__(self, servers: dict[int, subprocess.Popen[bytes]]) -> None:
        self.servers = servers
        self.url = f"redis+cluster://:{PASSWORD}@" + ",".join(f"127.0.0.1:{port}" for port in servers)

    def client(self, port: int) -> redis.Redis:
        """A client of one node."""
        return redis.Redis(port=port, password=PASSWORD, socket_timeout=5, protocol=2)

    def owner(self, tag: str) -> int:
        """The port of the primary that has a tag's slot."""
        for first, last, primary, *_ in self._slots():
            if first <= key_slot(tag.encode()) <= last:
                return int(primary[1])
        raise AssertionError(f"no node has the slot of {tag}")

    def kill_owner(self, tag: str) -> int:
        """Kill the primary of a tag's slot; its port."""
        port = self.owner(tag)
        self.servers[port].kill()
        self.servers[port].wait()
        return port

    def fail_over(self, tag: str) -> int:
        """Have the replica of a tag's primary take over from it, which goes on running; its former port."""
        primary = self.owner(tag)
        replica = next(int(row[3][1]) for row in self._slots() if int(row[2][1]) == primary)
        with self.client(replica) as node:
            node.execute_command("CLUSTER", "FAILOVER")
        return primary

    def begin_move(self, tag: str) -> tuple[int, int]:
        """Let the slot of a tag move to another primary, without its keys; the ports of both."""
        slot, source = key_slot(tag.encode()), self.owner(tag)
        target = next(int(row[2][1]) for row in self._slots() if int(row[2][1]) != source)
        self._set_slot(target, slot, "IMPORTING", self._id(source))
        self._set_slot(source, slot, "MIGRATING", self._id(target))
        return source, target

    def move_keys(self, tag: str, source: int, target: int, at_most: int = 1_000_000) -> None:
        """Move keys of a tag whose slot moves."""
        with self.client(source) as node:
            keys = node.execute_command("CLUSTER", "GETKEYSINSLOT", key_slot(tag.encode()), at_most)
            for key in keys:
                node.execute_command("MIGRATE", "127.0.0.1", target, key, 0, 5_000, "AUTH", PASSWORD)

    def end_move(self, tag: str, source: int, target: int) -> None:
        """Give the slot of a tag to its new node."""
        for port in (target, source, *{int(row[2][1]) for row in self._slots()} - {source, target}):
            self._set_slot(port, key_slot(tag.encode()), "NODE", self._id(target))

    def is_whole(self) -> bool:
        """Whether each running node has a good state and sees all slots with a replica that is in step."""
        running = [port for port, process in self.servers.items() if process.poll() is None]
        with suppress(redis.RedisError):
            return all(self._is_good(port) for port in running)
        return False

    def _is_good(self, port: int) -> bool:
        with self.client(port) as node:
            slots = node.execute_command("CLUSTER", "SLOTS")
            covered = sum(row[1] - row[0] + 1 for row in slots) == SLOTS
            is_linked = node.info("replication").get("master_link_status", "up") == "up"
            return covered and is_linked and all(len(row) > 3 for row in slots)

    def _slots(self) -> list[list[Any]]:
        for port, process in self.servers.items():
            if process.poll() is None:
                with suppress(redis.RedisError), self.client(port) as node:
                    return list(node.execute_command("CLUSTER", "SLOTS"))
        raise AssertionError("no node answers")

    def _id(self, port: int) -> str:
        with self.client(port) as node:
            return str(node.execute_command("CLUSTER", "MYID").decode())

    def _set_slot(self, port: int, slot: int, state: str, node_id: str) -> None:
        with self.client(port) as node:
            node.execute_command("CLUSTER", "SETSLOT", slot, state, node_id)


@contextmanager
def redis_cluster(folder: Path) -> Iterator[RedisCluster]:
    """Start the servers, and wait until the cluster is whole; stop them after the block."""
    nodes = [ports.free_port() for _ in range(2 * PRIMARIES)]
    cluster = RedisCluster({})
    try:
        for port in nodes:
            path = folder / f"{port}.conf"
            bus_port = ports.free_port()
            path.write_text(_SERVER.format(port=port, bus_port=bus_port, folder=folder, password=PASSWORD))
            command = [redis_server.command(os.environ)[0], str(path)]
            with (folder / f"{port}.log").open("w") as log:
                cluster.servers[port] = subprocess.Popen(command, stdout=log, stderr=log)
        running = RedisCluster(cluster.servers)
        for port in nodes:
            eventually(partial(_answers, running, port), f"the node at {port} answers", 30)
        _join(running, nodes)
        eventually(running.is_whole, "the cluster is whole", 60)
        yield running
    finally:
        for process in cluster.servers.values():
            process.kill()
            process.wait()


def _join(cluster: RedisCluster, nodes: list[int]) -> None:
    bus = {}
    for port in nodes:
        with cluster.client(port) as node:
            bus[port] = int(node.config_get("cluster-port")["cluster-port"])
    for number, port in enumerate(nodes):
        with cluster.client(port) as node:
            if number < PRIMARIES:
                first, after = number * SLOTS // PRIMARIES, (number + 1) * SLOTS // PRIMARIES
                node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            node.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0], bus[nodes[0]])
    for number, port in enumerate(nodes[PRIMARIES:]):
        with cluster.client(port) as node, cluster.client(nodes[number]) as primary:
            primary_id = primary.execute_command("CLUSTER", "MYID").decode()
            eventually(partial(_replicates, node, primary_id), "the node follows its primary", 30)


def _replicates(node: redis.Redis, primary_id: str) -> bool:
    with suppress(redis.ResponseError):
        return bool(node.cluster("REPLICATE", primary_id))
    return False


def _answers(cluster: RedisCluster, port: int) -> bool:
    with suppress(redis.ConnectionError), cluster.client(port) as node:
        return bool(node.ping())
    return False
