"""Clients of a Redis Cluster, for the cache: they bound every wait, never retry, and follow slots that move.

redis-py follows redirections. It looks the nodes up anew after the failure of a single command, not after that of a
pipeline; here a failed pipeline does so, too. Where no node answers, or none has a slot, these clients raise
redis.ConnectionError; redis-py's own error for this is no RedisError.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import chain
from typing import Any, NamedTuple, cast

import redis
import redis.asyncio
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from redis.asyncio.cluster import ClusterNode as AsyncNode
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, MovedError, RedisClusterException, SlotNotCoveredError, TryAgainError
from redis.retry import Retry

from shared.addresses import Hosts
from shared.telemetry.tracing import tracer

# A slot that moves answers ASK; one that has moved answers MOVED.
REDIRECTIONS = 4
# The slots of a node that is away may be another node's soon.
_AWAY = (redis.ConnectionError, redis.TimeoutError)
# redis-py's other errors of this class are programming faults, such as keys of several slots in one command.
_NO_NODE = re.compile("cannot be connected|not covered|could not agree")


class Command(NamedTuple):
    """A command whose keys have one hash tag.

    Attributes:
        tag: The hash tag, with its braces; empty for a Redis that is no cluster.
        words: The command and its arguments.
        singly: The same as commands of one key each, whose replies are lists: while a slot moves, only these are
            possible. None: it has one key.
    """

    tag: str
    words: tuple[Any, ...]
    singly: Callable[[], Iterable[tuple[Any, ...]]] | None = None


def mget(tag: str, keys: Sequence[bytes | str]) -> Command:
    """Reads keys."""
    return Command(tag, ("MGET", *keys), lambda: [("MGET", key) for key in keys])


def scripted(
    script: str, tag: str, keys: Sequence[str], common: Sequence[object], of_keys: Sequence[Sequence[object]]
) -> Command:
    """Runs a script with arguments for all keys, then for each key. Its reply has an element for each key."""
    # EVAL and not EVALSHA: after a start of Redis the first EVALSHA would fail, visibly in its trace.
    words = ("EVAL", script, len(keys), *keys, *common, *chain.from_iterable(of_keys))
    return Command(
        tag, words, lambda: [("EVAL", script, 1, key, *common, *own) for key, own in zip(keys, of_keys, strict=True)]
    )


class Cluster:
    """A sync client. It connects with its first command; redis-py's own connects when it is built.

    Within a recorded trace it makes a span for each command, and one for a run of several.
    """

    def __init__(self, hosts: Hosts, options: dict[str, Any]) -> None:
        """A client of the cluster that these nodes belong to; `options` are those of each connection."""
        self._hosts, self._options = hosts, options
        self._lock = threading.Lock()
        self._client: RedisCluster | None = None

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """Run a command on the node of its keys."""
        with _span(words), _away_is_a_connection_error():
            return self._connected().execute_command(*words, **options)  # type: ignore[no-untyped-call] # redis-py has no types here

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a Lua script whose keys have one hash tag."""
        return self.execute_command("EVAL", script, numkeys, *keys_and_args)

    def get(self, name: str) -> Any:
        """The value of a key; None: there is none."""
        return self.execute_command("GET", name)

    def set(self, name: str, value: bytes | str | int) -> Any:
        """Set a key."""
        return self.execute_command("SET", name, value)

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to commands, in one pipeline for each node; raises the first error."""
        if not commands:
            return []
        replies: dict[int, Any] = {}
        with _span(commands[0].words, len(commands)), _away_is_a_connection_error():
            client = self._connected()
            nodes: dict[ClusterNode, list[int]] = {}
            for number, command in enumerate(commands):
                nodes.setdefault(client.get_node_from_key(command.tag), []).append(number)  # type: ignore[no-untyped-call] # as above
            for node, numbers in nodes.items():
                replies |= zip(numbers, self._run_at(client, node, [commands[n] for n in numbers]), strict=True)
        return [replies[number] for number in range(len(commands))]

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()

    def _run_at(self, client: RedisCluster, node: ClusterNode, commands: list[Command]) -> Iterator[Any]:
        pipeline = client.get_redis_connection(node).pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command.words)  # type: ignore[no-untyped-call] # as above
        try:
            replies = pipeline.execute(raise_on_error=False)
        except _AWAY:
            client.nodes_manager.initialize(last_failed_node_name=node.name)
            raise
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, MovedError | AskError | TryAgainError):
                yield self._follow(client, command)
            elif isinstance(reply, Exception):
                raise reply
            else:
                yield reply

    def _follow(self, client: RedisCluster, command: Command) -> Any:
        """The reply to a command whose slot moves; redis-py finds the node of a single key."""
        singles = command.singly() if command.singly else [command.words]
        replies = [client.execute_command(*words) for words in singles]  # type: ignore[no-untyped-call] # as above
        return list(chain.from_iterable(replies)) if command.singly else replies[0]

    def _connected(self) -> RedisCluster:
        with self._lock:
            if self._client is None:
                self._client = RedisCluster(
                    startup_nodes=[ClusterNode(*pair) for pair in self._hosts.pairs],  # type: ignore[no-untyped-call] # as above
                    retry=Retry(NoBackoff(), 0),
                    require_full_coverage=False,
                    reinitialize_steps=0,
                    **_connection(self._hosts, self._options),
                )
            return self._client


class AsyncCluster(redis.asyncio.RedisCluster):
    """An asyncio client."""

    def __init__(self, hosts: Hosts, options: dict[str, Any]) -> None:
        """As `Cluster`."""
        super().__init__(
            startup_nodes=[AsyncNode(*pair) for pair in hosts.pairs],
            retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
            require_full_coverage=False,
            reinitialize_steps=0,
            **_connection(hosts, options),
        )

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        """Run a command on the node of its keys."""
        with _away_is_a_connection_error():
            await self.initialize()
            return await super().execute_command(*words, **options)

    async def state(self) -> dict[str, Any]:
        """INFO of a primary by whose word the cluster is up; nodes that are away are passed over.

        Raises:
            redis.ConnectionError: there is none.
        """
        with _away_is_a_connection_error():
            await self.initialize()
        for node in self.get_primaries():
            with suppress(redis.RedisError):
                if (await self.execute_command("CLUSTER INFO", target_nodes=node))["cluster_state"] == "ok":
                    found: dict[str, Any] = await self.execute_command("INFO", target_nodes=node)
                    return found
        raise redis.ConnectionError("no primary of the cluster is up")

    async def nodes_of(self, commands: Sequence[Command]) -> dict[AsyncNode, list[int]]:
        """The node of each command: node → numbers of commands."""
        nodes: dict[AsyncNode, list[int]] = {}
        with _away_is_a_connection_error():
            await self.initialize()
            for number, command in enumerate(commands):
                # None only where a replica is wanted.
                nodes.setdefault(cast(AsyncNode, self.get_node_from_key(command.tag)), []).append(number)
        return nodes

    async def run_at(self, node: AsyncNode, commands: Sequence[Command]) -> list[Any]:
        """The replies of a node to commands in one pipeline; raises the first error."""
        with _away_is_a_connection_error():
            try:
                replies = await self._pipeline(node, [command.words for command in commands])
            except _AWAY:
                await self.nodes_manager.initialize(last_failed_node_name=node.name)
                raise
            for number, reply in enumerate(replies):
                if isinstance(reply, MovedError | AskError | TryAgainError):
                    replies[number] = await self._follow(commands[number])
                elif isinstance(reply, Exception):
                    raise reply
        return replies

    async def _follow(self, command: Command) -> Any:
        """The reply to a command whose slot moves. redis-py's own way sends ASKING over another connection."""
        singles = list(command.singly() if command.singly else [command.words])
        replies: list[Any] = [None] * len(singles)
        waiting = list(range(len(singles)))
        for _ in range(REDIRECTIONS):
            nodes: dict[tuple[AsyncNode, bool], list[int]] = {}
            for number in waiting:
                error = replies[number]
                if isinstance(error, MovedError):
                    await self.nodes_manager.move_slot(error)
                asked = self.get_node(error.host, error.port) if isinstance(error, AskError) else None
                node = asked or cast(AsyncNode, self.get_node_from_key(command.tag))
                nodes.setdefault((node, asked is not None), []).append(number)
            for (node, is_asked), numbers in nodes.items():
                asking = [("ASKING",)] if is_asked else []
                found = await self._pipeline(node, [words for n in numbers for words in (*asking, singles[n])])
                for number, reply in zip(numbers, found[len(asking) :: len(asking) + 1], strict=True):
                    replies[number] = reply
            waiting = [number for number in waiting if isinstance(replies[number], MovedError | AskError)]
            if not waiting:
                break
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return list(chain.from_iterable(replies)) if command.singly else replies[0]

    async def _pipeline(self, node: AsyncNode, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        pipeline = self.pipeline()
        for words in commands:
            pipeline.execute_command(*words, target_nodes=node)
        return await pipeline.execute(raise_on_error=False, allow_redirections=False)


def _connection(hosts: Hosts, options: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in options.items() if name != "retry"}
    return known | hosts.login() | hosts.client_tls()


def _span(words: Sequence[Any], number: int = 1) -> AbstractContextManager[object]:
    """A span of the command, as OpenTelemetry's instrumentation of redis-py makes it."""
    if not trace.get_current_span().is_recording():
        return nullcontext()
    attributes: dict[str, str | int] = {"db.system": "redis", "db.statement": str(words[0])}
    attributes |= {"db.operation.batch.size": number} if number > 1 else {}
    return tracer.start_as_current_span(str(words[0]), kind=SpanKind.CLIENT, attributes=attributes)


@contextmanager
def _away_is_a_connection_error() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:
        if isinstance(error, SlotNotCoveredError) or _NO_NODE.search(str(error)):
            raise redis.ConnectionError(str(error)) from error
        raise
