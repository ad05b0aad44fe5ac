"""The plan of a start: the programs of the stack, and their settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy import ports
from deploy.errors import StackError
from deploy.native import environment, processes, programs, state
from deploy.native.state import State
from deploy.native.supervisor_client import Supervisor
from shared.settings import Settings

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Stack:
    """A stack: its state, and the settings of its programs, which are the content of `stack.env`."""

    home: Path
    state: State
    values: Mapping[str, str]
    settings: Settings
    env: Mapping[str, str]

    @property
    def supervisor(self) -> Supervisor:
        """The stack's supervisord, running or not."""
        return Supervisor(self.state)

    def address(self, name: str) -> str:
        """The address of one of its programs."""
        return programs.address(name, self.state, self.settings)


def read(home: Path, env: Mapping[str, str]) -> Stack:
    """The stack of the last start, running or not."""
    home = home.resolve()
    values = environment.load(home)
    return Stack(home, state.load(home), values, environment.settings_of(home, values), env)


def resolve(home: Path, env: Mapping[str, str], progress: Progress) -> Stack:
    """The stack for this start. While a program of the engine runs, the stack keeps its settings."""
    kept = state.load(home)
    alive = Supervisor(kept)
    if alive.pid() is None:
        processes.end_leftovers(home, progress)
    living = alive.living()
    choice = environment.given(env, kept)
    if living & set(programs.APPS):
        stack = read(home, env)
        # Passwords that an older release did not have were made when the state was read.
        state.save(home, stack.state)
        kept_settings = {name: value for name, value in choice.items() if name != environment.ADMIN_KEY}
        if other := [name for name, value in kept_settings.items() if stack.values.get(name) != value]:
            progress(f"running programs keep their {', '.join(sorted(other))}: to change that, `just down` first")
        return stack
    available = environment.available(choice, env)
    jaeger_starts = "jaeger" in available and "jaeger" not in living
    if jaeger_starts and not all(map(ports.port_is_free, programs.JAEGER_PORTS)):
        if "OTEL_EXPORTER_OTLP_ENDPOINT" not in choice:
            progress(
                "jaeger is not started, because its ports are taken; if a Jaeger has them, "
                f"`OTEL_EXPORTER_OTLP_ENDPOINT={programs.JAEGER_OTLP} just up` sends the traces there"
            )
        available = tuple(name for name in available if name != "jaeger")
    settings = environment.settings_of(home, environment.compose(choice, kept))
    apps_ports = set(environment.ports_to_take(list(programs.APPS), settings).values())
    free = state.with_free_ports(kept, living, alive.pid(), apps_ports)
    chosen = msgspec.structs.replace(free, programs=available)
    values = environment.compose(choice, chosen)
    stack = Stack(home, chosen, values, environment.settings_of(home, values), env)
    state.save(home, chosen)
    environment.save(home, values)
    return stack


def refuse_taken_ports(stack: Stack, starting: Sequence[str]) -> None:
    """Raise StackError, with the owner and the variable to set, for a fixed port that is not free."""
    for variable, port in environment.ports_to_take(starting, stack.settings).items():
        if not ports.port_is_free(port, "0.0.0.0"):  # noqa: S104 - a probe: any address of this machine
            program = ports.listener_on(port)
            raise StackError(f"Port {port} is taken by {program}: set {variable} to a free port.")
