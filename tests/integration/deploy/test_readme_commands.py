"""Each command of the README is run somewhere; most of them here, on a stack that `just up` itself starts."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy import ports
from tests.bench.__main__ import BENCHMARKS, OF_THEIR_OWN
from tests.integration.deploy.readme_commands import (
    CHECKS,
    CI,
    DOCKER,
    PAGES,
    README,
    RECIPE,
    ROOT,
    RUN,
    block,
    commands,
    is_among,
)
from tests.integration.deploy.test_page_commands import BLOCK
from tests.support.waiting import eventually

ALIAS = "alias just=.venv/bin/just"
SUITES = {"fuzz": "tests.fuzz", "chaos": "tests.chaos", "bench": "tests.bench", "verify": "tests.verify"}


def test_each_command_of_the_readme_is_known_and_none_is_known_that_is_not_there() -> None:
    assert {*commands(README), *commands(CHECKS)} == set(RUN)


def test_each_command_is_run_in_a_test_or_a_file_that_there_is() -> None:
    for where in set(RUN.values()):
        assert where in globals() or (ROOT / where).is_file(), where


@pytest.mark.parametrize("command", [command for command, where in RUN.items() if where == CI])
def test_the_check_of_a_submission_runs_the_command(command: str) -> None:
    assert command in (ROOT / CI).read_text()


@pytest.mark.parametrize("command", [command for command, where in RUN.items() if where == DOCKER])
def test_the_tests_of_containers_run_the_command(command: str) -> None:
    assert ", ".join(f'"{word}"' for word in command.split()[1:]) in (ROOT / DOCKER).read_text()


@pytest.mark.parametrize("command", [command for command, where in RUN.items() if where == PAGES])
def test_a_page_of_the_documentation_runs_the_command(command: str) -> None:
    blocks = [script for page in ROOT.glob("docs/*.md") for script in BLOCK.findall(page.read_text())]
    assert is_among(command, [line for script in blocks for line in script.splitlines()])


@pytest.mark.parametrize("command", [command for command, where in RUN.items() if where == RECIPE])
def test_the_recipe_and_its_arguments_exist(command: str) -> None:
    _, recipe, *arguments = command.split()
    just = [str(ROOT / ".venv/bin/just"), "--dry-run", "-f", str(ROOT / RECIPE), recipe, *arguments]
    done = subprocess.run(just, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if recipe in SUITES:
        assert f"-m {SUITES[recipe]}" in done.stderr
        context = import_module(f"{SUITES[recipe]}.__main__").main.make_context(recipe, arguments)
        assert not context.args


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_each_benchmark_has_a_module(benchmark: str) -> None:
    assert find_spec(OF_THEIR_OWN.get(benchmark, f"tests.bench.{benchmark}"))


@pytest.mark.parametrize(
    ("command", "line", "is_run"),
    [
        ("just logs [SERVICE] [--follow]", "just logs", True),
        ("just logs [SERVICE] [--follow]", "just logs api --follow", True),
        ("just logs | grep TRACE_ID", "just logs | grep 4bf9", True),
        ("just logs | grep TRACE_ID", "just logs api | grep 4bf9", False),
        ("just key", 'curl -H "Bearer $(just key)"', True),
        ("just import", "just importer", False),
        ("just policy FILE", "just policy", False),
        ("just", "just", True),
        ("just", "just up", False),
    ],
)
def test_a_line_runs_a_command_or_another_one(command: str, line: str, is_run: bool) -> None:
    assert is_among(command, [line]) is is_run


@dataclass(frozen=True)
class Shell:
    """A reader's shell: in a folder of theirs, with the README's alias. `ran` has its lines as the README has them."""

    folder: Path
    environ: dict[str, str]
    ran: list[str] = field(default_factory=list)

    def run(self, line: str, *codes: int) -> subprocess.CompletedProcess[str]:
        """Run lines, the last of which ends with one of these codes, else 0."""
        self.ran.extend([ALIAS, *line.replace(f"{self.folder}/", "").replace(f"{ROOT}/", "").splitlines()])
        alias = ALIAS.replace(".venv/bin/just", shlex.quote(shlex.quote(str(ROOT / ".venv/bin/just"))))
        done = subprocess.run(
            ["bash", "-c", f"shopt -s expand_aliases\n{alias}\n{line}"],
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
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell beside a stack that `just up native` started."""
    folder = tmp_path_factory.mktemp("reader")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    names = ("PRICING_PORT", "PRICING_WORKER_METRICS_PORT", "PRICING_LISTENER_METRICS_PORT")
    ours = {name: str(ports.free_port()) for name in names}
    ours |= {"PRICING_HOME": str(folder / "home"), "DOCKER_HOST": "unix:///nonexistent"}
    shell = Shell(folder, clean | ours | {"JUST_JUSTFILE": str(ROOT / "Justfile")})
    try:
        shell.run("just up native")
        yield shell
    finally:
        shell.run("just down")


@pytest.fixture
def shell(stack: Shell, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """That shell for one test, which has to run each command that is said to be run in it."""
    own = replace(stack, ran=list(stack.ran))
    yield own
    here = [command for command, where in RUN.items() if where == request.node.name]
    assert [command for command in here if not is_among(command, own.ran)] == []


@pytest.mark.long
def test_the_first_command_starts_it_from_nothing(shell: Shell) -> None:
    """`just up` again changes nothing that runs; after `just down`, it starts with the data that was there."""
    before = shell.run("just status").stdout
    said = shell.run(f"{ROOT}/.venv/bin/just up").stdout
    assert "postgres runs already" in said
    pids = re.compile(r"RUNNING\s*│\s*(\d+)\s*│")
    assert pids.findall(shell.run("just status").stdout) == pids.findall(before)
    shell.run("just down && just up")
    assert len(pids.findall(before)) > 3
    assert not set(pids.findall(shell.run("just status").stdout)) & set(pids.findall(before))


@pytest.mark.long
def test_a_price_is_asked_for(shell: Shell) -> None:
    first = json.loads(shell.run(block("is_prime_member")).stdout)
    assert set(first) >= {"final_price", "total", "source"}
    assert json.loads(shell.run(block("is_prime_member")).stdout)["source"] == "cache"
    explained = json.loads(shell.run(block("explain=true")).stdout)
    assert explained["quantity"] == 100
    assert explained["steps"]


@pytest.mark.long
def test_an_event_is_told(shell: Shell) -> None:
    answer = json.loads(shell.run(block("publish-market-event")).stdout)
    assert answer["status"] == "published"
    for service in ("api", "listener", "worker"):
        eventually(partial(_logged, shell, service, answer["trace_id"]), f"{service} at work on it")
    drawn = partial(_drawn, shell, answer["trace_id"])
    eventually(drawn, "its trace has all three services")
    assert answer["trace_id"] in shell.run("just trace").stdout
    assert shell.run(f"just logs | grep {answer['trace_id']}").stdout


def _drawn(shell: Shell, trace_id: str) -> bool:
    tree = shell.run(f"just trace {trace_id}", 0, 1, 2).stdout
    return all(f"pricing-{service}" in tree for service in ("api", "listener", "worker"))


def _logged(shell: Shell, service: str, trace_id: str) -> str:
    return shell.run(f"just logs {service} | grep {trace_id}", 0, 1).stdout


@pytest.mark.long
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
    shell.run("just holds")
    assert shell.run("just").stdout == (listed := shell.run(f"{ROOT}/.venv/bin/just").stdout)
    assert all(re.search(rf"^    {name}\b", listed, re.MULTILINE) for name in ("up", "down", "import", "verify"))


@pytest.mark.long
def test_load_is_put_on_it_and_judged(shell: Shell) -> None:
    """Whether the limits hold here is not asked: exit code 1 or 2 is a judgement too."""
    said = shell.run("just load --here --users 5 --seconds 5", 0, 1, 2).stdout
    assert "P95" in said
    assert "products LOAD-… are deleted again" in said
