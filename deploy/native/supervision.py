"""supervisord: its configuration and its start, detached from the shell."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy import home as pricing_home
from deploy.errors import StackError
from deploy.native import modules
from deploy.native.programs import APPS, NAMES
from deploy.native.state import State

# %(here)s is the home. A log's name is expanded twice, hence the second %. This file contains no paths, because its
# quoting does not work for every path.
_SUPERVISOR = """\
[supervisord]
logfile=%(here)s/logs/supervisord.log
logfile_maxbytes=10MB
logfile_backups=3
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s/logs
nocleanup=true
umask=077
{user}
[inet_http_server]
port=127.0.0.1:{port}
username=pricing
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
# After its own time to end, a program has this long before it is killed.
KILL_AFTER_S = 5
_PROGRAM = """
[program:{name}]
command=%(ENV_NATIVE_PYTHON)s -m deploy.native.run {name}
autostart=false
autorestart=true
startretries=1000000
stopsignal={stop_signal}
stopwaitsecs={stop_wait_s}
stopasgroup={as_group}
killasgroup={as_group}
redirect_stderr=true
stdout_logfile=%%(here)s/logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


def start(home: Path, state: State, env: Mapping[str, str], drain_s: int) -> None:
    """Start supervisord, detached from this shell; it starts no program by itself.

    Args:
        home: The stack's folder.
        state: Its ports and passwords.
        env: The environment of supervisord and its programs.
        drain_s: The time that an engine's program takes to end; it is killed `KILL_AFTER_S` later.

    Raises:
        StackError: supervisord did not start; the text is its output.
    """
    config = home / pricing_home.CONFIG_FILE
    pricing_home.write_private(config, _configuration(state, drain_s))
    with_python = {**env, "NATIVE_PYTHON": shlex.quote(sys.executable)}
    done = modules.run("supervisor.supervisord", "-c", str(config), env=with_python)
    if done.returncode:
        raise StackError(f"The supervisor did not start:\n{done.stdout.strip()}")


def _configuration(state: State, drain_s: int) -> str:
    user = "user=0\n" if os.geteuid() == 0 else ""  # else it warns that it runs as root
    head = _SUPERVISOR.format(user=user, port=state.supervisor_port, password=state.supervisor_password)
    return head + "".join(
        _PROGRAM.format(
            name=name,
            stop_signal="INT" if name == "postgres" else "TERM",
            stop_wait_s=60 if name == "postgres" else drain_s + KILL_AFTER_S,
            as_group="true" if name in APPS else "false",
        )
        for name in NAMES
    )
