"""A client of supervisord: XML-RPC on loopback, with a password."""

import http.client
import xmlrpc.client
from typing import Any, cast
from xml.parsers.expat import ExpatError

import msgspec

from deploy.errors import StackError
from deploy.native.state import State

_STOP_TIMEOUT_S = 660  # longer than the longest wait for a program's end
_PROBE_TIMEOUT_S = 5
_CALL_ERRORS = (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError)


class Program(msgspec.Struct, frozen=True):
    """A program under supervisord; `start` is in seconds since 1970, `pid` is 0 where it does not run."""

    name: str
    statename: str
    pid: int
    start: int
    now: int

    @property
    def lives(self) -> bool:
        """Whether the program runs, or has just been started."""
        return self.statename in {"RUNNING", "STARTING"}


class _Transport(xmlrpc.client.Transport):
    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = self._timeout_s
        return connection


class Supervisor:
    """The supervisord of one home; every call raises StackError where it fails."""

    def __init__(self, state: State) -> None:
        self._address = f"http://pricing:{state.supervisor_password}@127.0.0.1:{state.supervisor_port}/RPC2"

    def pid(self) -> int | None:
        """The process id of supervisord; None where it does not run."""
        try:
            return cast(int, self._request(_PROBE_TIMEOUT_S, "getPID"))
        except _CALL_ERRORS:
            return None

    def programs(self) -> dict[str, Program]:
        """Every program by name; none where supervisord does not run."""
        if self.pid() is None:
            return {}
        programs = msgspec.convert(self._call("getAllProcessInfo"), list[Program])
        return {program.name: program for program in programs}

    def living(self) -> set[str]:
        """The names of the programs that run or have just been started."""
        return {name for name, program in self.programs().items() if program.lives}

    def program(self, name: str) -> Program:
        """One program; raises StackError where supervisord has ended."""
        if found := self.programs().get(name):
            return found
        raise StackError("The supervisor has ended.")

    def start(self, name: str) -> None:
        """Start a program that does not run; a program that waits for its next attempt is started at once."""
        if self.program(name).statename == "BACKOFF":
            self._call("stopProcess", name)
        self._call("startProcess", name, False)

    def stop(self, name: str) -> bool:
        """Stop a program and wait for its end; returns whether it ran."""
        found = self.programs().get(name)
        if found is None or found.statename not in {"STARTING", "RUNNING", "BACKOFF"}:
            return False
        self._call("stopProcess", name)
        return True

    def shut_down(self) -> None:
        """End supervisord, if it runs; it stops the programs that still run."""
        if self.pid() is not None:
            self._call("shutdown")

    def _call(self, method: str, *arguments: object) -> object:
        try:
            return self._request(_STOP_TIMEOUT_S, method, *arguments)
        except _CALL_ERRORS as error:
            raise StackError(f"The supervisor refused {method} {' '.join(map(str, arguments))}: {error}") from error

    def _request(self, timeout_s: float, method: str, *arguments: object) -> object:
        with xmlrpc.client.ServerProxy(self._address, transport=_Transport(timeout_s)) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)
