"""Each command of the README is run somewhere; most of them here, on a stack that `just up` itself starts."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from deploy import ports
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
HEADER = "product_id,name,currency,base_price"

PRICED, EVENT, CATALOGUE = "test_a_price_is_asked_for", "test_an_event_is_told", "test_a_catalogue_goes_in_and_out"
LOOKED_AT, LOADED = "test_the_stack_is_looked_at", "test_load_is_put_on_it_and_judged"
STARTED = "test_the_first_command_starts_it_from_nothing"
SELF = "itself: it runs these tests, or is the check that runs beside them"
DOCKER = "tests/integration/deploy/test_compose_stack.py"
LONG = "a long suite of its own, for whose parts there are unit tests"

# Command, as it stands in the README → where it is run.
RUN = {
    "python3 -m venv .venv && .venv/bin/pip install -q uv rust-just && .venv/bin/just up": STARTED,
    ".venv/bin/just test": SELF,
    ".venv/bin/just": LOOKED_AT,
    "just": LOOKED_AT,
    "alias just=.venv/bin/just": LOOKED_AT,
    "curl -s localhost:8000/api/v1/price": PRICED,
    "curl -s 'localhost:8000/api/v1/price?explain=true'": PRICED,
    "curl -s localhost:8000/api/v1/publish-market-event": EVENT,
    "just logs | grep TRACE_ID": EVENT,
    "just import": CATALOGUE,
    "just import products.csv": CATALOGUE,
    "just import grocer.csv": CATALOGUE,
    "just export": CATALOGUE,
    "just export backup.csv.gz": CATALOGUE,
    "just policy": LOOKED_AT,
    "just policy FILE": LOOKED_AT,
    "just status": LOOKED_AT,
    "just logs": LOOKED_AT,
    "just logs [SERVICE] [--follow]": LOOKED_AT,
    "just key": EVENT,
    "just migrate": LOOKED_AT,
    "just up": STARTED,
    "just up native": STARTED,
    "just down": STARTED,
    "just down && just up": STARTED,
    "just load": LOADED,
    "just recalculate": LOOKED_AT,
    "just recalculate --wait": LOOKED_AT,
    "just tasks": LOOKED_AT,
    "just events": LOOKED_AT,
    "just trace": EVENT,
    "just trace [TRACE_ID]": EVENT,
    "just chaos": LONG,
    "just chaos redis-frozen --quick": LONG,
    **{
        f"just bench{what}": LONG
        for what in ("", " --quick", " bulk", " import", " memory", " processes", " recalculation", " staleness")
    },
    "just bench reads --rounds 15": LONG,
    "just bench tracing": LONG,
    "just up docker monitoring": DOCKER,
    "just verify": SELF,
    "just check": SELF,
    "just format": SELF,
    "just lock": SELF,
    "just up docker": DOCKER,
    "just up docker worker=3 listener=2": DOCKER,
    "git pull && just down && just up": STARTED,
}


def commands(text: str) -> list[str]:
    """The commands of code blocks and of code within sentences, without a request's or an import's options."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    begins = (".venv", "python", "just", "curl", "git", "docker")
    lines = [line for block in blocks for line in block.splitlines() if line.startswith(begins)]
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    within = re.findall(r"(?<!`)`((?:just|git|alias|\.venv/bin/just)(?: [^`]*)?)`(?!`)", text)
    return [re.split(r" (?:-d|-H|--map) ", command)[0] for command in [*lines, *within]]


def test_each_command_of_the_readme_is_known_and_none_is_known_that_is_not_there() -> None:
    assert set(commands(README)) == set(RUN)


def test_where_a_command_is_said_to_be_run_there_is_a_test() -> None:
    for where in set(RUN.values()) - {SELF, LONG}:
        assert where in globals() or (ROOT / where).is_file(), where


@dataclass(frozen=True)
class Shell:
    """A reader's shell: in a folder of theirs, with `just` as the README's alias."""

    folder: Path
    environ: dict[str, str]

    def run(self, line: str, *codes: int) -> subprocess.CompletedProcess[str]:
        """Run a line, which ends with one of these codes, else 0."""
        line = line.replace("localhost:8000", f"localhost:{self.environ['PRICING_PORT']}")
        alias = (
            f'just() {{ {shlex.quote(str(ROOT / ".venv/bin/just"))} -f {shlex.quote(str(ROOT / "Justfile"))} "$@"; }}'
        )
        done = subprocess.run(
            ["bash", "-c", f"{alias}\n{line}"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode in (codes or (0,)), f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell beside a stack that `just up native` started."""
    folder = tmp_path_factory.mktemp("reader")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    names = ("PRICING_PORT", "PRICING_WORKER_METRICS_PORT", "PRICING_LISTENER_METRICS_PORT")
    ours = {name: str(ports.free_port()) for name in names}
    shell = Shell(folder, clean | ours | {"PRICING_HOME": str(folder / "home"), "DOCKER_HOST": "unix:///nonexistent"})
    try:
        shell.run("just up native")
        yield shell
    finally:
        shell.run("just down")


def block(begin: str) -> str:
    """The code block of the README that begins so."""
    found: str
    [found] = [text for text in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE) if begin in text]
    return found


def test_the_first_command_starts_it_from_nothing(shell: Shell) -> None:
    """`just up` again changes nothing that runs; after `just down`, it starts with the data that was there."""
    before = shell.run("just status").stdout
    said = shell.run("just up").stdout
    assert "postgres runs already" in said
    pids = re.compile(r"RUNNING\s*│\s*(\d+)\s*│")
    assert pids.findall(shell.run("just status").stdout) == pids.findall(before)
    shell.run("just down && just up")
    assert len(pids.findall(before)) > 3
    assert not set(pids.findall(shell.run("just status").stdout)) & set(pids.findall(before))


def test_a_price_is_asked_for(shell: Shell) -> None:
    first = json.loads(shell.run(block("is_prime_member")).stdout)
    assert set(first) >= {"final_price", "total", "source"}
    assert json.loads(shell.run(block("is_prime_member")).stdout)["source"] == "cache"
    explained = json.loads(shell.run(block("explain=true")).stdout)
    assert explained["quantity"] == 100
    assert explained["steps"]


def test_an_event_is_told(shell: Shell) -> None:
    answer = json.loads(shell.run(block("publish-market-event")).stdout)
    assert answer["status"] == "published"
    for service in ("api", "listener", "worker"):
        eventually(partial(_logged, shell, service, answer["trace_id"]), f"{service} at work on it")
    drawn = partial(_drawn, shell, answer["trace_id"])
    eventually(drawn, "its trace has all three services")
    assert answer["trace_id"] in shell.run("just trace").stdout


def _drawn(shell: Shell, trace_id: str) -> bool:
    tree = shell.run(f"just trace {trace_id}", 0, 1, 2).stdout
    return all(f"pricing-{service}" in tree for service in ("api", "listener", "worker"))


def _logged(shell: Shell, service: str, trace_id: str) -> str:
    return shell.run(f"just logs {service} | grep {trace_id}", 0, 1).stdout


def test_a_catalogue_goes_in_and_out(shell: Shell) -> None:
    """The README's lines, with the files in a folder of the test's own."""
    (shell.folder / "products.csv").write_text(f"{HEADER}\nR-1,Kettle,USD,49.90\n")
    (shell.folder / "grocer.csv").write_text("index,product,category,market_price\nR-2,Tea,grocery,12.50\n")
    names = re.compile(r"(?<= )(products\.csv|grocer\.csv|backup\.csv\.gz)")
    first, second, third = names.sub(rf"{shell.folder}/\1", block("just import products.csv")).strip().splitlines()
    for line in (first, second):
        assert "1 rows: 1 new" in shell.run(line).stderr
    shell.run(third)
    back = shell.run(f"gunzip -c {shell.folder}/backup.csv.gz | grep -e ^product -e ^R- | just import -")
    assert "2 unchanged" in back.stderr


def test_the_stack_is_looked_at(shell: Shell) -> None:
    assert "api" in shell.run("just status").stdout
    assert "worker" in shell.run("just logs").stdout
    assert "listener" in shell.run("just logs listener").stdout
    assert shell.run("just key").stdout.strip() == (shell.folder / "home" / "admin.key").read_text().strip()
    shell.run("just migrate")
    assert "default_strategy" in shell.run("just policy | tee policy.json").stdout
    assert "is active" in shell.run(f"just policy {shell.folder}/policy.json").stderr
    shell.run("just recalculate --wait")
    assert "succeeded" in shell.run("just tasks").stdout
    shell.run("just events")
    listed = shell.run("just").stdout
    assert all(re.search(rf"^    {name}\b", listed, re.MULTILINE) for name in ("up", "down", "import", "verify"))


def test_load_is_put_on_it_and_judged(shell: Shell) -> None:
    """Whether the limits hold here is not asked: exit code 1 or 2 is a judgement too."""
    said = shell.run("just load --users 5 --seconds 5", 0, 1, 2).stdout
    assert "P95" in said
