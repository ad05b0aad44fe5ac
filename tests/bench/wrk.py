"""The load: `wrk` with a list of queries, and what it measured."""

import os
import shutil
import subprocess
from pathlib import Path

import msgspec

SCRIPT = Path(__file__).with_name("wrk.lua")
CONNECTIONS = 32
# How long wrk may take to read its queries and to end, besides the time it measures.
GRACE_S = 30


class CannotMeasure(Exception):
    """There are no figures; the text says why and what to do."""


class Measured(msgspec.Struct, frozen=True):
    """What wrk saw in one window.

    Attributes:
        requests: Answered ones, whatever their status.
        duration_us: Of the whole window.
        p50_us: Median latency.
        p99_us: The 99th percentile.
        broken: Requests without an answer.
        refused: Answers with a status of 400 or above.
        load_cpu_s: CPU time that wrk itself took.
    """

    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    broken: int
    refused: int
    load_cpu_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Of the whole window."""
        return self.duration_us / 1e6

    @property
    def requests_per_s(self) -> float:
        """Answers per second."""
        return self.requests / self.duration_s


def find() -> str:
    """The program.

    Raises:
        CannotMeasure: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise CannotMeasure(
            "The load generator wrk is missing: install it (Debian and Ubuntu: apt install wrk, macOS: brew install "
            "wrk, or from https://github.com/wg/wrk)."
        )
    return found


def run(url: str, queries: Path, seconds: int, connections: int = CONNECTIONS) -> Measured:
    """Ask a server for so long, over so many connections, each with one request under way at any time.

    Args:
        url: Where the queries are posted.
        queries: One JSON document a line; after the last one comes the first again.
        seconds: How long.
        connections: How many.

    Raises:
        CannotMeasure: wrk did not come to its end.
    """
    process = start(url, queries, seconds, connections)
    return finish(process, seconds)


def start(url: str, queries: Path, seconds: int, connections: int = CONNECTIONS) -> "subprocess.Popen[str]":
    """As `run`, in the background; `finish` has the figures."""
    return subprocess.Popen(
        [find(), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), url, "--", str(queries)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]", seconds: int) -> Measured:
    """Wait for the end of what `start` began.

    Raises:
        CannotMeasure: wrk did not come to its end.
    """
    before = _children_cpu_s()
    try:
        output, _ = process.communicate(timeout=seconds + GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    return msgspec.structs.replace(parse(output), load_cpu_s=_children_cpu_s() - before)


def parse(output: str) -> Measured:
    """The figures in what wrk printed.

    Raises:
        CannotMeasure: there are none.
    """
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise CannotMeasure(f"wrk printed no figures: {output.strip()[-500:]}")
    try:
        return msgspec.json.decode(lines[-1], type=Measured)
    except msgspec.DecodeError as error:
        raise CannotMeasure(f"wrk's figures cannot be read ({error}): {lines[-1]}") from None


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
