"""What one node of a Redis Cluster carries: its CPU time and memory for the engine's own commands."""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click
import msgspec
import redis
from rich import box
from rich.table import Table

from deploy import ports
from deploy.native import redis_server
from shared.cache import commands, marks, sheets, tags
from shared.cache.sheets import Fill
from shared.messaging import clients
from shared.messaging.cluster import Cluster, Command, mget
from shared.prices.new_versions import StoredSheet
from tests.bench import report
from tests.support.pricing_examples import sheet
from tests.support.waiting import eventually

TTL_S = 3_600.0
LOOK_UP, PARTITION = 500, 1_000
FOREVER_MS = 2**52
SLOTS = 16_384
CONFIG = """
port {port}
bind 127.0.0.1
dir {folder}
save ""
cluster-enabled yes
"""


@click.command()
@click.option("--quick", is_flag=True, help="20,000 sheets.")
@click.option("--sheets", "number", default=200_000, type=click.IntRange(PARTITION), help="The number of sheets.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(quick: bool, number: int, json_file: Path | None) -> None:
    """Measure on a cluster of one node, which is started for it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _node(Path(folder)) as port:
        found = measure(port, 20_000 if quick else number)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("one node", "costs it", "half a core carries, a second"):
        table.add_column(column, justify="right")
    for what, microseconds in found.items():
        if what != "bytes":
            table.add_row(what, f"{microseconds:.1f} µs", f"{500_000 / microseconds:,.0f}")
    report.console().print(table, f"{found['bytes']:,.0f} bytes a sheet")
    if json_file:
        json_file.write_text(json.dumps({"benchmark": "cache", **found}, indent=2, ensure_ascii=False))


def measure(port: int, number: int) -> dict[str, float]:
    """CPU time of the node in microseconds, by what it does, and the bytes of a sheet."""
    stored = [_stored(f"P-{each:08}", 1) for each in range(number)]
    url = f"redis+cluster://127.0.0.1:{port}"
    with redis.Redis(port=port, protocol=2) as node, closing(clients.sheets_client(url, "bench")) as client:
        assert isinstance(client, Cluster)
        empty = node.info("memory")["used_memory"]
        parts = [stored[start : start + PARTITION] for start in range(0, number, PARTITION)]

        def each(act: Callable[[Sequence[StoredSheet]], object], size: int = PARTITION) -> float:
            blocks = [part[start : start + size] for part in parts for start in range(0, PARTITION, size)]
            if size == 1:
                blocks = blocks[:: len(blocks) // 5_000 or 1]
            before = _cpu_us(node)
            for block in blocks:
                act(block)
            return (_cpu_us(node) - before) / len(blocks)

        marked = each(lambda part: marks.without_marked(client, part)) / PARTITION
        node.flushall()
        filled = each(lambda part: commands.run(client, _by_tag(part, _fill))) / PARTITION
        held = node.info("memory")["used_memory"] - empty
        return {
            "a look-up of one sheet": each(lambda part: commands.run(client, _by_tag(part, _read)), size=1),
            "a sheet in a look-up of 500": each(lambda part: commands.run(client, _by_tag(part, _read)), size=LOOK_UP)
            / LOOK_UP,
            "a sheet that is filled, in 1,000": filled,
            "a sheet that is replaced, in 1,000": each(lambda part: commands.run(client, _by_tag(part, _put)))
            / PARTITION,
            "a mark, in 1,000": marked,
            "bytes": held / number,
        }


def _stored(product_id: str, version: int) -> StoredSheet:
    document = msgspec.json.encode(sheet(product_id=product_id, version=version)).decode()
    return StoredSheet(product_id, version, document, 0)


def _by_tag(part: Sequence[StoredSheet], command: Callable[[str, Sequence[StoredSheet]], Command]) -> list[Command]:
    groups = tags.grouped(part, lambda stored: stored.product_id, is_cluster=True)
    return [command(tag, of_tag) for tag, of_tag in groups.items()]


def _read(tag: str, of_tag: Sequence[StoredSheet]) -> Command:
    return mget(tag, [sheets.generation_key(tag), *(sheets.key(stored.product_id, tag) for stored in of_tag)])


def _fill(tag: str, of_tag: Sequence[StoredSheet]) -> Command:
    return sheets.fill([Fill(stored) for stored in of_tag], TTL_S, FOREVER_MS, tag)


def _put(tag: str, of_tag: Sequence[StoredSheet]) -> Command:
    return sheets.put([_stored(stored.product_id, 2) for stored in of_tag], TTL_S, tag)


def _cpu_us(node: redis.Redis) -> float:
    used = node.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"]) * 1_000_000


@contextmanager
def _node(folder: Path) -> Iterator[int]:
    port, config = ports.free_port(), folder / "node.conf"
    config.write_text(CONFIG.format(port=port, folder=folder))
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen([redis_server.command(os.environ)[0], str(config)], stdout=log, stderr=log)
    try:
        with redis.Redis(port=port, protocol=2) as node:
            eventually(lambda: _answers(node), "the node answers")
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
            eventually(lambda: node.cluster("INFO")["cluster_state"] == "ok", "the cluster is up")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _answers(node: redis.Redis) -> bool:
    try:
        return bool(node.ping())
    except redis.ConnectionError:
        return False


if __name__ == "__main__":
    main(prog_name="just bench cache")
