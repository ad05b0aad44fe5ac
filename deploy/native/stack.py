"""Start and stop the whole stack, in order; each step waits for the previous one."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from deploy import home as pricing_home
from deploy.errors import StackError
from deploy.native import environment, logs, modules, processes, programs, readiness, state, supervision
from deploy.native.plan import Progress, Stack, refuse_taken_ports, resolve
from deploy.native.supervisor_client import Supervisor

READY_S = 90
_POLL_S = 0.1
# A wait is named after this time, and again from time to time.
_PATIENCE_S, _EVERY_S = 3, 15
_STARTS = 3  # a program that ended this often before it was ready will not become ready


def _silent(_: str) -> None:
    pass


def up(
    home: Path,
    env: Mapping[str, str],
    only: Sequence[str] | None = None,
    progress: Progress = _silent,
    *,
    is_empty: bool = False,
) -> Stack:
    """Start the programs that do not run, and wait until they are ready; running programs are left alone.

    Args:
        home: PRICING_HOME, absolute; created where it is missing, its parent must exist.
        env: The caller's environment: PRICING_* and OTEL_* settings, PATH and the rest.
        only: Names of programs; none: all. The catalogue is filled when a program of the engine starts.
        progress: Called with one line for every step.
        is_empty: Whether a new catalogue stays without the demo.

    Raises:
        StackError: a program did not start; the programs that this call has started are stopped again.
    """
    home = home.resolve()
    programs.check_names(only or ())
    pricing_home.prepare(home)
    with pricing_home.locked(home, lambda: progress("waiting for another up or down")), ExitStack() as undo:
        stack = resolve(home, env, progress)
        names = [name for name in stack.state.programs if not only or name in only]
        living = stack.supervisor.living()
        starting = [name for name in names if name not in living]
        refuse_taken_ports(stack, starting)
        if starting:
            pricing_home.refuse_full_disk(home)
            _start_supervisor(stack, undo)
        servers, apps = _split(names)
        _bring_up(stack, servers, starting, undo, progress)
        if set(apps) & set(starting):
            _fill_catalogue(stack, progress, is_empty=is_empty)
        _bring_up(stack, apps, starting, undo, progress)
        undo.pop_all()
    return stack


def down(home: Path, progress: Progress = _silent) -> bool:
    """Stop all programs of this home and wait for their end; data is kept.

    Returns:
        Whether anything ran.
    """
    home = home.resolve()
    if not (home / pricing_home.STATE_FILE).exists():
        return False
    with pricing_home.locked(home, lambda: progress("waiting for another up or down")):
        supervisor = Supervisor(state.load(home))
        pid = supervisor.pid()
        if pid is not None:
            for name in programs.STOP_ORDER:
                if supervisor.stop(name):
                    progress(f"{name} stopped")
            _end_supervisor(supervisor, pid)
        return processes.end_leftovers(home, progress) or pid is not None


def _split(names: Sequence[str]) -> tuple[list[str], list[str]]:
    return [n for n in names if n not in programs.APPS], [n for n in names if n in programs.APPS]


def _start_supervisor(stack: Stack, undo: ExitStack) -> None:
    if stack.supervisor.pid() is not None:
        return
    supervision.start(
        stack.home, stack.state, environment.of_programs(stack.home, stack.env, {}), stack.settings.drain_timeout_s
    )
    pid = _until(stack.supervisor.pid, "The supervisor does not answer.")
    undo.callback(_end_supervisor, stack.supervisor, pid)


def _end_supervisor(supervisor: Supervisor, pid: int) -> None:
    supervisor.shut_down()
    processes.wait_until_gone(pid)


def _bring_up(stack: Stack, names: Sequence[str], starting: Sequence[str], undo: ExitStack, progress: Progress) -> None:
    for name in names:
        if name in starting:
            progress(f"{name} starts")
            programs.prepare(name, stack.home, stack.state, stack.env)
            undo.callback(stack.supervisor.stop, name)
            stack.supervisor.start(name)
    for name in names:
        _wait_until_ready(stack, name, progress)
        progress(f"{name} is ready" if name in starting else f"{name} runs already")


def _wait_until_ready(stack: Stack, name: str, progress: Progress) -> None:
    deadline = time.monotonic() + READY_S
    next_word = time.monotonic() + _PATIENCE_S
    starts: set[int] = set()
    while True:
        program = stack.supervisor.program(name)
        reason = readiness.why_not_ready(name, stack.state, stack.settings)
        if reason is None and program.statename == "RUNNING":
            return
        starts.add(program.start)
        if program.statename == "FATAL" or len(starts) > _STARTS:
            raise StackError(f"{_log_of(stack, name)}\n{name} does not start: its log above shows the reason.")
        if time.monotonic() > next_word:
            [why, *_] = (reason or program.statename).splitlines()
            progress(f"waiting for {name}, at most {deadline - time.monotonic():.0f} s more: {why}")
            next_word += _EVERY_S
        if time.monotonic() > deadline:
            raise StackError(f"{_log_of(stack, name)}\n{name} was not ready after {READY_S} s: {reason}")
        time.sleep(_POLL_S)


def _log_of(stack: Stack, name: str) -> str:
    lines = logs.tail(pricing_home.log_file(stack.home, name), 20)
    return "\n".join([f"the last lines of {name}'s log:", *lines])


def _fill_catalogue(stack: Stack, progress: Progress, *, is_empty: bool) -> None:
    progress("migrating the database")
    _catalogue(stack, "migrate")
    for line in _catalogue(stack, "demo", "--none" if is_empty else "--if-new").splitlines():
        progress(line)


def _catalogue(stack: Stack, *arguments: str) -> str:
    done = modules.run("shared.commands", *arguments, env=environment.of_programs(stack.home, stack.env, stack.values))
    if done.returncode:
        raise StackError(f"{done.stdout.strip()}\nThe command {arguments[0]} failed: see above.")
    return done.stdout


def _until(check: Callable[[], int | None], failure: str) -> int:
    deadline = time.monotonic() + READY_S
    while (found := check()) is None:
        if time.monotonic() > deadline:
            raise StackError(failure)
        time.sleep(_POLL_S)
    return found
