"""Other processes, by psutil: leftovers of this home, and the end of processes."""

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from deploy.home import CONFIG_FILE

_TERM_S = 15
_KILL_S = 10


def leftovers(home: Path) -> list[psutil.Process]:
    """The processes that a supervisor of this home started, that supervisor included."""
    me = psutil.Process()
    own_line = {me.pid, *(parent.pid for parent in me.parents())}
    return [process for process in psutil.process_iter() if process.pid not in own_line and _is_of(process, home)]


def end_leftovers(home: Path, progress: Callable[[str], None]) -> bool:
    """End the processes that outlived the supervisor of this home; returns whether there were any."""
    found = leftovers(home)
    if found:
        progress(f"ending {len(found)} processes that outlived their supervisor")
        end(found)
    return bool(found)


def end(processes: Sequence[psutil.Process]) -> None:
    """End processes and their children: by SIGTERM first, by SIGKILL where they do not end in time."""
    family = list(processes)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            family += process.children(recursive=True)
            # With SIGTERM PostgreSQL waits for its clients, with SIGINT it does not.
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, stubborn = psutil.wait_procs(set(family), timeout=_TERM_S)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_KILL_S)


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process, for at most 15 s."""
    with suppress(psutil.Error):
        psutil.Process(pid).wait(timeout=_TERM_S)


def _is_of(process: psutil.Process, home: Path) -> bool:
    try:
        if process.uids().real != os.getuid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        environ = process.environ()
        if environ.get("PRICING_HOME") != str(home):
            return False
        return environ.get("SUPERVISOR_ENABLED") == "1" or str(home / CONFIG_FILE) in process.cmdline()
    except (psutil.Error, OSError):
        return False
